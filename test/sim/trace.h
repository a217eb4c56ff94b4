/*
 * What happens in a run, one line an event, with a column for each node. The running checksum is
 * over the lines' content and does not depend on whether they are shown.
 */
#ifndef TEST_SIM_TRACE_H
#define TEST_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct trace {
    bool show;
    unsigned columns; /* machines shown */
    uint64_t now_us;
    uint64_t sum;
    uint64_t lines;
};

/* machine 0: of nobody. */
__attribute__((format(printf, 3, 4))) void trace_line(struct trace *trace, unsigned machine,
                                                      const char *format, ...);
/* Shown, but not part of the checksum. */
void trace_note(const struct trace *trace, unsigned machine, const char *text);
/* Numbers only, never shown: for what happens too often. */
void trace_numbers(struct trace *trace, uint64_t a, uint64_t b, uint64_t c);

#endif
