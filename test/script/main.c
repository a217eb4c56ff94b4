/*
 * raft_script [--strict|--semantic] [--rewrite] PATH...
 *
 * Each file runs in a process of its own, so that an assertion of the core, or a script that never
 * settles, is a failure with its line and nothing more.
 */
#include "base/mem.h"
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 120u /* of a file */

enum kind { KIND_INTERACTION, KIND_QUORUM, KIND_CONFCHANGE };

struct options {
    bool strict;
    bool rewrite;
};

/* For the signal handlers: what is being run. */
static char current[512];

static void on_signal(int number)
{
    static const char asserted[] = "assertion or crash in the core\n";
    static const char late[] = "does not end\n";
    const char *what = number == SIGALRM ? late : asserted;
    ssize_t n = write(STDOUT_FILENO, current, strlen(current));
    n = write(STDOUT_FILENO, what, strlen(what));
    (void)n;
    _exit(2);
}

static enum kind kind_of(const struct script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        const char *c = script->directives[i].command;
        if (strcmp(c, "committed") == 0 || strcmp(c, "vote") == 0)
            return KIND_QUORUM;
        if (strcmp(c, "simple") == 0 || strcmp(c, "enter-joint") == 0 ||
            strcmp(c, "leave-joint") == 0)
            return KIND_CONFCHANGE;
    }
    return KIND_INTERACTION;
}

/* ---- one file -------------------------------------------------------------------------------------- */

struct run {
    const char *path;
    struct options options;
    struct script script;
    enum kind kind;
    struct env env;
    struct script_changer *changer;
    size_t written; /* --rewrite: bytes of the text that are out */
    bool failed;
};

static void report(struct run *run, const struct script_directive *d, const char *text)
{
    printf("%s:%u: %s: %s\n", run->path, d->line, d->command, text);
    run->failed = true;
}

static void rewrite(struct run *run, const struct script_directive *d, struct buf *actual)
{
    const char *text = run->script.text;
    (void)fwrite(text + run->written, 1, d->begin - run->written, stdout);
    printf("%s%s----\n", d->head, d->raw_input);
    const char *output = buf_str(actual);
    bool blank = strstr(output, "\n\n") != NULL || output[0] == '\n';
    printf(blank ? "----\n%s----\n----\n" : "%s", output);
    run->written = d->end;
    if (blank && d->end < run->script.len && text[d->end] != '\n')
        printf("\n");
}

static void compare(struct run *run, const struct script_directive *d, struct buf *actual)
{
    struct buf expected = {0};
    struct buf got = {0};
    if (run->options.strict) {
        buf_printf(&expected, "%s", d->expected[0] != 0 ? d->expected : "");
        buf_add(&got, actual->data, actual->len);
    } else {
        script_semantic(d->expected, &expected);
        script_semantic(buf_str(actual), &got);
    }
    if (strcmp(buf_str(&expected), buf_str(&got)) != 0) {
        struct buf diff = {0};
        script_diff(buf_str(&expected), buf_str(&got), &diff);
        printf("--- %s:%u expected\n+++ %s:%u actual\n@@ %s @@\n%s", run->path, d->line, run->path,
               d->line, d->command, buf_str(&diff));
        buf_deinit(&diff);
        run->failed = true;
    }
    buf_deinit(&expected);
    buf_deinit(&got);
}

static void run_directive(struct run *run, const struct script_directive *d)
{
    struct buf actual = {0};
    (void)snprintf(current, sizeof current, "%s:%u: %s: ", run->path, d->line, d->command);
    switch (run->kind) {
    case KIND_INTERACTION: env_run(&run->env, d, &actual); break;
    case KIND_QUORUM: script_quorum(d, &actual); break;
    case KIND_CONFCHANGE: script_changer_run(run->changer, d, &actual); break;
    }
    if (actual.len > 0 && actual.data[actual.len - 1] != '\n')
        buf_add_u8(&actual, '\n');
    if (run->options.rewrite)
        rewrite(run, d, &actual);
    else
        compare(run, d, &actual);
    if (run->env.exhausted)
        report(run, d, "does not settle");
    const char *broken = env_check(&run->env);
    if (broken != NULL)
        report(run, d, broken);
    buf_deinit(&actual);
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        printf("%s: %s\n", path, strerror(errno));
        return false;
    }
    char block[65536];
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        buf_add(out, block, got);
    (void)fclose(file);
    return true;
}

static bool run_file(const char *path, struct options options)
{
    struct run run = {.path = path, .options = options};
    struct buf text = {0};
    unsigned line = 0;
    if (!read_file(path, &text))
        return false;
    const char *why = script_parse(text.data != NULL ? (const char *)text.data : "", text.len,
                                   &run.script, &line);
    buf_deinit(&text);
    if (why != NULL) {
        printf("%s:%u: %s\n", path, line, why);
        script_free(&run.script);
        return false;
    }
    run.kind = kind_of(&run.script);
    env_init(&run.env);
    run.changer = script_changer_new();
    for (size_t i = 0; i < run.script.count && !run.env.exhausted; i++)
        run_directive(&run, &run.script.directives[i]);
    if (options.rewrite)
        (void)fwrite(run.script.text + run.written, 1, run.script.len - run.written, stdout);
    script_changer_free(run.changer);
    env_deinit(&run.env);
    script_free(&run.script);
    return !run.failed;
}

/* In a child; true if it passed. */
static bool run_apart(const char *path, struct options options)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGABRT, on_signal);
        (void)signal(SIGALRM, on_signal);
        (void)signal(SIGSEGV, on_signal);
        (void)alarm(SECONDS_MAX);
        exit(run_file(path, options) ? 0 : 1);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (!WIFEXITED(status))
        printf("%s: ended by signal %d\n", path, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- paths ----------------------------------------------------------------------------------------- */

struct paths {
    char **list;
    size_t count;
    size_t cap;
};

static void push_path(struct paths *paths, const char *path)
{
    paths->list = mem_grow(paths->list, paths->count, &paths->cap, sizeof *paths->list);
    paths->list[paths->count++] = mem_strdup(path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The file, or every *.txt below the folder; folders wait in the list until their turn comes. */
static bool collect(struct paths *files, const char *root)
{
    struct paths folders = {0};
    struct stat info;
    if (stat(root, &info) != 0)
        return false;
    push_path(S_ISDIR(info.st_mode) ? &folders : files, root);
    for (size_t i = 0; i < folders.count; i++) {
        DIR *dir = opendir(folders.list[i]);
        struct dirent *entry;
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            char path[4096];
            size_t len = strlen(entry->d_name);
            (void)snprintf(path, sizeof path, "%s/%s", folders.list[i], entry->d_name);
            if (entry->d_name[0] == '.' || stat(path, &info) != 0)
                continue;
            if (S_ISDIR(info.st_mode))
                push_path(&folders, path);
            else if (len > 4 && strcmp(entry->d_name + len - 4, ".txt") == 0)
                push_path(files, path);
        }
        if (dir != NULL)
            (void)closedir(dir);
    }
    for (size_t i = 0; i < folders.count; i++)
        mem_free(folders.list[i]);
    mem_free(folders.list);
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.strict = false};
    struct paths files = {0};
    unsigned passed = 0;
    unsigned failed = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--strict") == 0) {
            options.strict = true;
        } else if (strcmp(argv[i], "--semantic") == 0) {
            options.strict = false;
        } else if (strcmp(argv[i], "--rewrite") == 0) {
            options.rewrite = true;
        } else if (argv[i][0] == '-') {
            (void)fprintf(stderr,
                          "usage: raft_script [--strict|--semantic] [--rewrite] PATH...\n");
            return 1;
        } else if (!collect(&files, argv[i])) {
            printf("%s: %s\n", argv[i], strerror(errno));
            failed++;
        }
    }
    if (files.count > 0)
        qsort(files.list, files.count, sizeof *files.list, by_name);
    for (size_t i = 0; i < files.count; i++) {
        bool ok = run_apart(files.list[i], options);
        passed += ok;
        failed += !ok;
        if (!ok && !options.rewrite)
            printf("FAIL %s\n", files.list[i]);
        mem_free(files.list[i]);
    }
    mem_free(files.list);
    if (!options.rewrite)
        printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 ? 1 : 0;
}
