/*
 * The targets without libFuzzer: replays files and all files of folders, or makes inputs from
 * seeds:  PROGRAM PATH...   PROGRAM --random FIRST_SEED COUNT [BYTES]
 */
#include "base/prng.h"
#include "input.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned replayed;
static char running[4096];

static int replay(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t len = fread(data, 1, sizeof data, file);
    (void)fclose(file);
    (void)snprintf(running, sizeof running, "%s", path);
    replayed++;
    uint8_t *exact = malloc(len > 0 ? len : 1); /* so that the sanitizer sees its end */
    if (exact == NULL)
        return 1;
    memcpy(exact, data, len);
    int failed = LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return failed;
}

static int replay_folder(DIR *folder, const char *path)
{
    int failed = 0;
    for (struct dirent *item; (item = readdir(folder)) != NULL;) {
        char name[4096];
        (void)snprintf(name, sizeof name, "%s/%s", path, item->d_name);
        if (item->d_type == DT_REG || item->d_type == DT_LNK)
            failed |= replay(name);
    }
    return failed;
}

static int replay_path(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return replay(path);
    int failed = replay_folder(folder, path);
    (void)closedir(folder);
    return failed;
}

static void on_abort(int number)
{
    (void)number;
    (void)fprintf(stderr, "input: %s\n", running);
}

static int make_inputs(uint64_t seed, uint64_t count, size_t len)
{
    uint8_t *data = malloc(len);
    for (uint64_t i = 0; i < count && data != NULL; i++) {
        struct prng prng = {.state = seed + i};
        for (size_t k = 0; k < len; k++)
            data[k] = (uint8_t)prng_next(&prng);
        (void)snprintf(running, sizeof running, "seed %llu", (unsigned long long)(seed + i));
        (void)LLVMFuzzerTestOneInput(data, len);
    }
    free(data);
    printf("%llu inputs, nothing found\n", (unsigned long long)count);
    return 0;
}

int main(int argc, char **argv)
{
    (void)signal(SIGABRT, on_abort);
    if (argc >= 4 && strcmp(argv[1], "--random") == 0)
        return make_inputs(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                           argc > 4 ? strtoull(argv[4], NULL, 10) : 1000);
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay_path(argv[i]);
    printf("%u inputs replayed\n", replayed);
    return failed != 0 || replayed == 0;
}
