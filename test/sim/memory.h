/*
 * Whose memory it is: what a member's code allocates through base/mem counts as its machine's until
 * it is freed, wherever that is. Not counted is what libraries allocate themselves, which is
 * evbuffers above all (bounds.c knows how many bytes of peers they hold).
 */
#ifndef TEST_SIM_MEMORY_H
#define TEST_SIM_MEMORY_H

#include "plan.h"

/* Before the first allocation. */
void memory_install(void);
/* From now on that machine allocates; 0: the simulator itself. Returns who did so before. */
unsigned memory_enter(unsigned machine);
size_t memory_of(unsigned machine);

#endif
