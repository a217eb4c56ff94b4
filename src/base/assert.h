/* Assertions that are always on: for our own broken promises, never for input from outside. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

__attribute__((noreturn)) void assert_failed(const char *file, int line, const char *what);

#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(__FILE__, __LINE__, #cond))
#define ASSERT_MSG(cond, text) ((cond) ? (void)0 : assert_failed(__FILE__, __LINE__, text))
#define UNREACHABLE(text) assert_failed(__FILE__, __LINE__, text)

#endif
