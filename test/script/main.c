/*
 * raft_script [--strict|--semantic] [--rewrite] PATH...
 *
 * Each file runs in a process of its own, which notes in shared memory where it is: an assertion or
 * a crash of the core, a finding of a sanitizer, or a script that never ends is then a failure with
 * file, line and command, and the other files still run.
 */
#include "base/mem.h"
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 60u /* of a file */

enum kind { KIND_INTERACTION, KIND_QUORUM, KIND_CONFCHANGE };

struct options {
    bool strict;
    bool rewrite;
};

/* Shared by the child, which runs a file, and the parent, which outlives it. */
struct progress {
    bool is_finished;
    bool is_passed;
    char where[4200]; /* file:line: command */
};

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

/* By the first command that only one of the languages has. */
static enum kind kind_of(const struct script *script)
{
    static const char *const quorum[] = {"committed", "vote"};
    static const char *const change[] = {"simple", "enter-joint", "leave-joint"};
    for (size_t i = 0; i < script->count; i++) {
        const char *command = script->directives[i].command;
        if (strcmp(command, "add-nodes") == 0)
            return KIND_INTERACTION;
        if (is_one_of(command, quorum, 2))
            return KIND_QUORUM;
        if (is_one_of(command, change, 3))
            return KIND_CONFCHANGE;
    }
    return KIND_INTERACTION;
}

/* ---- one file -------------------------------------------------------------------------------- */

struct run {
    const char *path;
    struct options options;
    struct progress *progress;
    struct script script;
    enum kind kind;
    struct env env;
    struct script_changer *changer;
    size_t written; /* --rewrite: bytes of the text that are out */
    bool failed;
    bool is_broken; /* an invariant did not hold */
};

/* --rewrite has standard output for itself. */
static FILE *problems(struct options options)
{
    return options.rewrite ? stderr : stdout;
}

static void report(struct run *run, const struct script_directive *d, const char *text)
{
    (void)fprintf(problems(run->options), "%s:%u: %s: %s\n", run->path, d->line, d->command, text);
    run->failed = true;
}

static bool is_blank(const char *line, size_t len)
{
    return strspn(line, " \t\r\v\f") >= len;
}

/* Would the plain form end too early? */
static bool needs_doubled(const char *output)
{
    if (strncmp(output, "----\n", 5) == 0)
        return true;
    while (*output != 0) {
        size_t len = strcspn(output, "\n");
        if (is_blank(output, len))
            return true;
        output += len + (output[len] == '\n');
    }
    return false;
}

static void rewrite(struct run *run, const struct script_directive *d, struct buf *actual)
{
    const char *text = run->script.text;
    (void)fwrite(text + run->written, 1, d->begin - run->written, stdout);
    printf("%s%s----\n", d->head, d->raw_input);
    const char *output = buf_str(actual);
    bool doubled = needs_doubled(output);
    printf(doubled ? "----\n%s----\n----\n" : "%s", output);
    run->written = d->end;
}

static void compare(struct run *run, const struct script_directive *d, struct buf *actual)
{
    struct buf expected = {0};
    struct buf got = {0};
    if (run->options.strict) {
        buf_add(&expected, d->expected, strlen(d->expected));
        buf_add(&got, actual->data, actual->len);
    } else {
        script_semantic(d->expected, &expected);
        script_semantic(buf_str(actual), &got);
    }
    if (strcmp(buf_str(&expected), buf_str(&got)) != 0) {
        struct buf diff = {0};
        script_diff(buf_str(&expected), buf_str(&got), d->command, &diff);
        printf("--- %s:%u: %s: expected\n+++ %s:%u: %s: actual\n%s", run->path, d->line, d->command,
               run->path, d->line, d->command, buf_str(&diff));
        buf_deinit(&diff);
        run->failed = true;
    }
    buf_deinit(&expected);
    buf_deinit(&got);
}

static void check(struct run *run, const struct script_directive *d)
{
    const char *broken = run->kind == KIND_INTERACTION ? env_check(&run->env) : NULL;
    if (run->env.exhausted)
        report(run, d, "does not settle");
    if (broken != NULL && !run->is_broken)
        report(run, d, broken); /* once: what follows from it says nothing new */
    run->is_broken = run->is_broken || broken != NULL;
}

static void run_directive(struct run *run, const struct script_directive *d)
{
    struct buf actual = {0};
    (void)fflush(stdout); /* what was found so far shall survive a crash */
    (void)snprintf(run->progress->where, sizeof run->progress->where, "%s:%u: %s", run->path,
                   d->line, d->command);
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
    check(run, d);
    buf_deinit(&actual);
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    char block[65536];
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        buf_add(out, block, got);
    bool ok = ferror(file) == 0;
    (void)fclose(file);
    return ok;
}

static bool run_file(const char *path, struct options options, struct progress *progress)
{
    struct run run = {.path = path, .options = options, .progress = progress};
    struct buf text = {0};
    unsigned line = 0;
    if (!read_file(path, &text)) {
        (void)fprintf(problems(options), "%s: %s\n", path, strerror(errno));
        buf_deinit(&text);
        return false;
    }
    const char *why = script_parse(text.data != NULL ? (const char *)text.data : "", text.len,
                                   &run.script, &line);
    buf_deinit(&text);
    if (why != NULL) {
        (void)fprintf(problems(options), "%s:%u: %s\n", path, line, why);
        script_free(&run.script);
        return false;
    }
    run.kind = kind_of(&run.script);
    env_init(&run.env);
    run.changer = script_changer_new();
    for (size_t i = 0; i < run.script.count && !run.env.exhausted; i++)
        if (!run.script.directives[i].is_subtest)
            run_directive(&run, &run.script.directives[i]);
    if (options.rewrite)
        (void)fwrite(run.script.text + run.written, 1, run.script.len - run.written, stdout);
    script_changer_free(run.changer);
    env_deinit(&run.env);
    script_free(&run.script);
    return !run.failed;
}

static void explain_end(FILE *out, const struct progress *progress, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        (void)fprintf(out, "%s: does not end within %u s\n", progress->where, SECONDS_MAX);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        (void)fprintf(out, "%s: assertion failed or abort\n", progress->where);
    else if (WIFSIGNALED(status))
        (void)fprintf(out, "%s: crash: %s\n", progress->where, strsignal(WTERMSIG(status)));
    else if (!progress->is_finished)
        (void)fprintf(out, "%s: ended the process, exit status %d\n", progress->where,
                      WEXITSTATUS(status));
    else
        (void)fprintf(out, "%s: after the last command: exit status %d (a leak?)\n",
                      progress->where, WEXITSTATUS(status));
}

/* In a child; true if it passed. */
static bool run_apart(const char *path, struct options options, struct progress *progress)
{
    *progress = (struct progress){.is_finished = false};
    (void)snprintf(progress->where, sizeof progress->where, "%s", path);
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(SECONDS_MAX);
        progress->is_passed = run_file(path, options, progress);
        progress->is_finished = true;
        exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        (void)fprintf(problems(options), "%s: %s\n", path, strerror(errno));
        return false;
    }
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0 && progress->is_finished;
    if (!clean)
        explain_end(problems(options), progress, status);
    return clean && progress->is_passed;
}

/* ---- paths ----------------------------------------------------------------------------------- */

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
            if (entry->d_name[0] == '.' || lstat(path, &info) != 0)
                continue;
            if (S_ISDIR(info.st_mode)) /* no links to folders: they may go round */
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

static int usage(void)
{
    (void)fprintf(stderr, "usage: raft_script [--strict|--semantic] [--rewrite] PATH...\n"
                          "       (--semantic if neither is given)\n");
    return 1;
}

static bool take_option(const char *word, struct options *options)
{
    if (strcmp(word, "--strict") == 0)
        options->strict = true;
    else if (strcmp(word, "--semantic") == 0)
        options->strict = false;
    else if (strcmp(word, "--rewrite") == 0)
        options->rewrite = true;
    else
        return false;
    return true;
}

static unsigned run_all(struct paths *files, struct options options)
{
    unsigned failed = 0;
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        perror("mmap");
        return (unsigned)files->count;
    }
    if (files->count > 0)
        qsort(files->list, files->count, sizeof *files->list, by_name);
    for (size_t i = 0; i < files->count; i++) {
        bool ok = run_apart(files->list[i], options, progress);
        failed += !ok;
        if (!ok)
            (void)fprintf(problems(options), "FAIL %s\n", files->list[i]);
    }
    (void)munmap(progress, sizeof *progress);
    return failed;
}

int main(int argc, char **argv)
{
    struct options options = {.strict = false};
    struct paths files = {0};
    unsigned missing = 0;
    bool has_path = false;
    bool is_wrong = false;
    for (int i = 1; i < argc && !is_wrong; i++) {
        if (argv[i][0] == '-') {
            is_wrong = !take_option(argv[i], &options);
            continue;
        }
        has_path = true;
        if (!collect(&files, argv[i])) {
            (void)fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            missing++;
        }
    }
    unsigned failed = missing;
    if (has_path && !is_wrong) {
        failed += run_all(&files, options);
        if (!options.rewrite)
            printf("%zu passed, %u failed\n", files.count - (failed - missing), failed);
    }
    for (size_t i = 0; i < files.count; i++)
        mem_free(files.list[i]);
    mem_free(files.list);
    if (!has_path || is_wrong)
        return usage();
    return failed > 0 ? 1 : 0;
}
