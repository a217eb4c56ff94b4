/* A client of one api over the fake node, without a server: a request in, the answer out. */
#ifndef TEST_API_CLIENT_H
#define TEST_API_CLIENT_H

#include "api/api.h"
#include "fake_node.h"

#define KEY_BYTES 64 /* the limits of this api */
#define VALUE_BYTES 1000

/* The last answer, and its body as text. */
extern struct api_response answer;
extern char body_text[8192];

/* A test with an api and a fake node of its own. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int client_setup(void **state);
int client_teardown(void **state);
/* Each returns whether there is an answer already; if not, the node was asked (see fake). */
bool ask(enum api_method method, const char *target, const char *body); /* NULL: no body */
bool ask_if(enum api_method method, const char *target, const char *name, const char *value);
/* headers: name, value, ... NULL. */
bool ask_with(enum api_method method, const char *target, const char *body, size_t body_len,
              const char *const *headers);
/* Does not look for an answer. */
void hand_in(const struct api_request *request);
bool take_answer(void);
/* The node answers the last request; there must be an answer of the api then. */
void result(struct node_result value);
/* Of the answer; "(none)" if it is not there. */
const char *header(const char *name);
/* The answer is an error in our form. */
void expect_error(int status, const char *code);
/* The request is answered so, and the node is not asked. */
void expect_refusal(enum api_method method, const char *target, int status, const char *code);
/* The node was asked for this key. */
void expect_key(const void *key, size_t len);

#endif
