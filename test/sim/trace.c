/* FNV-1a: bytes of text and numbers only, so that it is the same on every build. */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void add_byte(struct trace *trace, uint8_t byte)
{
    trace->sum = (trace->sum ^ byte) * UINT64_C(1099511628211);
}

static void add_number(struct trace *trace, uint64_t number)
{
    trace->sum = (trace->sum ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    trace->sum ^= trace->sum >> 29;
}

static void show(const struct trace *trace, unsigned machine, const char *text)
{
    (void)printf("%11.6f ", (double)trace->now_us / 1e6);
    for (unsigned i = 1; i <= trace->columns; i++) {
        if (i == machine)
            (void)printf("%-3u", i);
        else
            (void)printf("|  ");
    }
    (void)printf("%s%s\n", machine == 0 ? "** " : "", text);
}

void trace_line(struct trace *trace, unsigned machine, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trace->lines++;
    add_number(trace, trace->now_us);
    add_number(trace, machine);
    for (const char *at = text; *at != '\0'; at++)
        add_byte(trace, (uint8_t)*at);
    if (trace->show)
        show(trace, machine, text);
}

void trace_note(const struct trace *trace, unsigned machine, const char *text)
{
    if (trace->show)
        show(trace, machine, text);
}

void trace_numbers(struct trace *trace, uint64_t a, uint64_t b, uint64_t c)
{
    add_number(trace, trace->now_us);
    add_number(trace, a);
    add_number(trace, b);
    add_number(trace, c);
}
