/* What tests of scale sets share: a set "web" in the fixture's group. */
#pragma once
#include "base/fault.h"
#include "control/fixture.h"

extern const struct control_request set_request;

/* Takes the object. */
void *set_put(struct fixture *f, void *object);
void set_assert_words(const char *text, const char *words);
/* Takes the object. */
void set_assert_refused(struct fixture *f, void *object, enum fault fault, const char *words);
/* A put that is accepted and fails. Takes the object. */
void set_assert_fails(struct fixture *f, void *object, enum fault fault, const char *words);
struct scale_set *set_read(struct fixture *f);
/* The first interface of the model. */
struct set_nic *set_first_nic(struct scale_set *set);
GPtrArray *set_instances(struct fixture *f);
struct vm *set_instance(struct fixture *f, guint index);
struct nic *set_nic_of(struct fixture *f, const struct vm *vm);
/* "web_0 web_1*": names of the instances, with a star behind those that have the model. */
void set_assert_instances(struct fixture *f, const char *expected);
/* "rrd": running, stopped, deallocated. */
void set_assert_power(struct fixture *f, const char *expected);
/* Of the instance with that index (-1: all); the operation, Owned, over. */
struct operation *set_act(struct fixture *f, enum verb verb, int index);
void set_do(struct fixture *f, enum verb verb, int index);
void set_assert_act_fails(struct fixture *f, enum verb verb, int index, enum fault fault, const char *words);
void set_put_capacity(struct fixture *f, int64_t capacity);
void set_put_accelerated(struct fixture *f, bool on);
void set_put_size(struct fixture *f, const char *size);
void set_put_upgrade(struct fixture *f, enum upgrade upgrade);
/* A load balancer "lb" with a pool "pool", and a probe "probe" that a rule for it has. Owned. */
struct balancer *set_put_balancer(struct fixture *f);
/* The set's first interface is in the pool, and the probe says who is well; stored. */
void set_put_health(struct fixture *f, const struct balancer *balancer);
/* What hosts say of the instance's interface from now on: that the probe finds it well, or nothing. */
void set_say_well(struct fixture *f, const char *instance, const struct balancer *balancer);
unsigned set_count_keys(struct fixture *f, const char *prefix);

/* Stored now, ready to be changed and put. */
#define EDIT(f) struct scale_set *edit = set_read(f)
