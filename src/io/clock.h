/* The one clock of floed: time that only goes forward. */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>

/* Milliseconds since some fixed point of this boot; never 0, never less than before. */
uint64_t clock_now_ms(void);
uint64_t clock_now_us(void); /* the same clock, in microseconds */
uint64_t clock_busy_us(void); /* processor time that this thread has had */

#endif
