/* The command line of floed. */
#include "floed/conf.h"
#include "floed/log_sink.h"
#include "floed/server.h"

#include <floe/raft.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char usage[] =
    "floed: a replicated key-value server\n"
    "\n"
    "usage: floed [--config FILE] [--check-config | --reseed]\n"
    "       floed --version | --help\n"
    "\n"
    "Without --config it serves a single-member cluster on http://127.0.0.1:12380 from\n"
    "./floe-data.\n"
    "\n"
    "  --config FILE    read the configuration from FILE (conf/floed.toml shows every key)\n"
    "  --check-config   read and check the configuration, then exit: 0 if it is fine\n"
    "  --reseed         the data of this member is damaged, too old or gone (exit status 3):\n"
    "                   move it aside to *.damaged-TIME, start anew from what other members have.\n"
    "                   Needs a majority of the members that does not count this one. For one\n"
    "                   start; what is begun is gone on with by later starts without it\n"
    "  --version        print the version\n"
    "  --help           print this text\n";

struct arguments {
    const char *config;
    bool check;
    bool reseed;
    bool version;
    bool help;
};

static bool parse_arguments(int argc, char **argv, struct arguments *out)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            out->config = argv[++i];
        } else if (strncmp(argv[i], "--config=", 9) == 0 && argv[i][9] != 0) {
            out->config = argv[i] + 9;
        } else if (strcmp(argv[i], "--check-config") == 0) {
            out->check = true;
        } else if (strcmp(argv[i], "--reseed") == 0) {
            out->reseed = true;
        } else if (strcmp(argv[i], "--version") == 0) {
            out->version = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            out->help = true;
        } else {
            (void)fprintf(stderr, "floed: what is '%s'? (see floed --help)\n", argv[i]);
            return false;
        }
    }
    return true;
}

static int run(const struct arguments *arguments)
{
    struct conf conf;
    struct buf why = {0};
    enum err err = ERR_OK;
    if (arguments->config != NULL)
        err = conf_load(arguments->config, &conf, &why);
    else
        conf_defaults(&conf);
    if (err != ERR_OK) {
        (void)fprintf(stderr, "%s\n", buf_str(&why));
        buf_deinit(&why);
        return 1;
    }
    buf_deinit(&why);
    int status = 0;
    if (arguments->check) {
        (void)printf("%s: fine\n", arguments->config != NULL ? arguments->config : "defaults");
    } else {
        struct log_sink sink;
        (void)snprintf(sink.name, sizeof sink.name, "%s", conf.name);
        struct logger logger = {.level = conf.log_level, .write = log_sink_write, .arg = &sink};
        status = server_run(&conf, &logger, arguments->reseed ? (uint64_t)time(NULL) : 0);
    }
    conf_deinit(&conf);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!parse_arguments(argc, argv, &arguments))
        return 1;
    if (arguments.help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (arguments.version) {
        (void)printf("floed %s\n", floe_version());
        return 0;
    }
    (void)umask(077);
    return run(&arguments);
}
