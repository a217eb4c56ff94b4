/*
 * A client of etcd's API over a node with a real store, without a server. Requests and answers are
 * written with ' for ".
 */
#ifndef TEST_API_V3_CLIENT_H
#define TEST_API_V3_CLIENT_H

#include "api/api.h"
#include "kv_node.h"

extern struct api *api;
extern uint64_t token; /* of the last request */
extern uint64_t now_ms;
struct v3_head {
    int status;
    bool stream;
    bool socket;
    char type[64];
};
extern struct v3_head head;
extern char body[1 << 19]; /* of a unary answer, or all chunks, each in brackets < > */
extern bool ended;
extern char other[512]; /* the unary answer to an earlier request, if one came */
extern int other_status;

int setup(void **state);
int teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

void quotes(char *text, char from, char to);
void turn(void); /* some turns: answers and chunks of the last request */
void more(void); /* what comes without a request */
void send_request(enum api_method method, const char *path, const char *text, size_t len,
                  const struct api_header *headers, size_t count);
void post(const char *path, const char *json); /* path: behind /v3/ */
void put(const char *key, const char *value);  /* past the api */

/* One after the other, in one store. */
struct row {
    const char *path;
    const char *request;
    int status;
    const char *answer;
};
void run(const struct row *rows, size_t count);
#define RUN(rows) run(rows, sizeof rows / sizeof *rows)

#define H(revision) "'header':{'member_id':'1','revision':'" revision "','raft_term':'2'}"
#define H0 "'header':{'member_id':'1','raft_term':'2'}"
#define IN(revision) "'header':{'revision':'" revision "'}"
#define KV(key, create, mod, version, value)                                                       \
    "{'key':'" key "','create_revision':'" create "','mod_revision':'" mod "','version':'" version \
    "','value':'" value "'}"
#define ERR(code, text) "{'error':'" text "','message':'" text "','code':" code "}"

#endif
