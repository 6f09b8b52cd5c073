/* Grace periods: no worker holds any more what was withdrawn before (rte_rcu_qsbr).
 *
 * A worker's last use of a thing comes before its quiescent state (store with release), and that before whoever frees
 * or reuses the thing (load with acquire). DPDK loads so too, but keeps a short cut beside it by plain loads, and waits
 * within its library: there neither C nor a sanitizer of threads sees the order. So the loads are made once more here.
 */
#pragma once
#include <rte_rcu_qsbr.h>
#include <stdbool.h>

/* All that workers did before the quiescent states that ended a grace period has happened before this returns. */
static inline void grace_acquire(const struct rte_rcu_qsbr *readers)
{
	for (unsigned i = 0; i < readers->max_threads; i++)
		(void)__atomic_load_n(&readers->qsbr_cnt[i].cnt, __ATOMIC_ACQUIRE);
}

/* Waits until each worker has passed a quiescent state or sleeps. Not for workers. */
static inline void grace_wait(struct rte_rcu_qsbr *readers)
{
	rte_rcu_qsbr_synchronize(readers, RTE_QSBR_THRID_INVALID);
	grace_acquire(readers);
}
