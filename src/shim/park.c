#include <stddef.h>
#include <time.h>

#include "shim.h"

#define PAUSE_NS 300000
#define STEP_NS 20000000 /* so long a rank inside of a call may wait for one that is parked */

static __thread int depth __attribute__((tls_model("initial-exec")));
static __thread struct shim_slot *counted __attribute__((tls_model("initial-exec")));
static __thread uint32_t waited_in_vain __attribute__((tls_model("initial-exec")));
static int threads;

void expect_threads(void)
{
	__atomic_store_n(&threads, 1, __ATOMIC_SEQ_CST);
}

static void add(uint32_t *counter, uint32_t by)
{
	if (threads)
		__atomic_fetch_add(counter, by, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Whether another rank of the container is inside of a call; *calls changes when any of them gets on. */
static int others_inside(const struct shim_page *page, const struct shim_slot *own, uint32_t *calls)
{
	int inside = 0;
	*calls = 0;
	for (uint32_t i = 0; i < page->slots; i++) {
		const struct shim_slot *slot = &page->slot[i];
		if (slot == own || load(&slot->pid) == 0)
			continue;
		inside |= load(&slot->inside) > load(&slot->parked);
		*calls += load(&slot->calls);
	}
	return inside;
}

/*
 * Waits at the entry of a call until the agent releases the ranks. Two things end the wait before: time, since an agent
 * that died releases nobody; and a rank of this container that gets nowhere inside of its call. It may be waiting for
 * this one, so this one does the one call, and parks at the next.
 */
static void park(struct shim_page *page, struct shim_slot *slot)
{
	uint32_t request = load(&page->request), calls, now_calls;
	if (request == waited_in_vain)
		return;
	int64_t start = shim_monotonic_ns(), limit = (int64_t)load(&page->limit_ms) * 1000000, still = start;
	others_inside(page, slot, &calls);
	add(&slot->parked, 1);
	while (load(&page->request) == request && load(&page->released) != request) {
		int64_t now = shim_monotonic_ns();
		if (now - start >= limit) {
			waited_in_vain = request;
			break;
		}
		if (!others_inside(page, slot, &now_calls) || now_calls != calls) {
			calls = now_calls;
			still = now;
		}
		if (now - still >= STEP_NS)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
	}
	add(&slot->parked, (uint32_t)-1);
}

void enter_mpi(void)
{
	if (depth++ != 0)
		return;
	if (shim_slot == NULL)
		attach();
	struct shim_slot *slot = shim_slot;
	counted = slot;
	if (slot == NULL)
		return;
	add(&slot->calls, 1);
	add(&slot->inside, 1);
	if (__builtin_expect(load(&shim_page->request) != load(&shim_page->released), 0))
		park(shim_page, slot);
}

void leave_mpi(void)
{
	if (--depth == 0 && counted != NULL)
		add(&counted->inside, (uint32_t)-1);
}
