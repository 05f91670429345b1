#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

struct shim_page *shim_page;
struct shim_slot *shim_slot;

/* A free place, or that of a rank that is no more. */
static struct shim_slot *claim(struct shim_page *page)
{
	uint32_t own = (uint32_t)getpid();
	for (uint32_t i = 0; i < page->slots; i++) {
		struct shim_slot *slot = &page->slot[i];
		uint32_t pid = __atomic_load_n(&slot->pid, __ATOMIC_RELAXED);
		if (pid != 0 && pid != own && kill((pid_t)pid, 0) == 0)
			continue;
		if (!__atomic_compare_exchange_n(&slot->pid, &pid, own, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		slot->inside = slot->parked = 0;
		return slot;
	}
	return NULL;
}

void attach(void)
{
	static int tried;
	if (__atomic_load_n(&tried, __ATOMIC_RELAXED) || __atomic_exchange_n(&tried, 1, __ATOMIC_SEQ_CST))
		return;
	int file = open(SHIM_PAGE_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return;
	off_t size = lseek(file, 0, SEEK_END);
	struct shim_page *page = MAP_FAILED;
	if (size >= (off_t)sizeof *page)
		page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (page == MAP_FAILED)
		return;
	if (page->magic == SHIM_PAGE_MAGIC && (off_t)(sizeof *page + page->slots * sizeof page->slot[0]) <= size)
		shim_slot = claim(page);
	if (shim_slot == NULL)
		munmap(page, (size_t)size);
	else
		shim_page = page;
}

void detach(void)
{
	struct shim_slot *slot = shim_slot;
	shim_slot = NULL;
	if (slot != NULL)
		__atomic_store_n(&slot->pid, 0, __ATOMIC_RELEASE);
}
