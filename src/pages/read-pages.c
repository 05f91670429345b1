#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "send.h"
#include "uapi.h"

bool is_zero_page(const char *page)
{
	uint64_t first;
	memcpy(&first, page, sizeof first);
	return first == 0 && memcmp(page, page + sizeof first, PAGE_BYTES - sizeof first) == 0;
}

/* From page `from` on, as far as it goes: pages read. */
static size_t read_some(pid_t pid, const uint64_t *address, size_t count, char *buffer)
{
	struct iovec remote[WIRE_PAGES], local = { buffer, count * PAGE_BYTES };
	size_t runs = 0;
	for (size_t i = 0; i < count; i++) {
		if (runs > 0 && (uint64_t)(uintptr_t)remote[runs - 1].iov_base + remote[runs - 1].iov_len == address[i])
			remote[runs - 1].iov_len += PAGE_BYTES;
		else
			remote[runs++] = (struct iovec){ (void *)(uintptr_t)address[i], PAGE_BYTES };
	}
	ssize_t got = process_vm_readv(pid, &local, 1, remote, runs, 0);
	return got > 0 ? (size_t)got / PAGE_BYTES : 0;
}

void each_page(pid_t pid, int memory, const struct page_region *region,
	       void (*found)(uint64_t address, char *page, void *context), void *context)
{
	static char buffer[WIRE_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
	uint64_t address[WIRE_PAGES];
	bool good[WIRE_PAGES];
	if (region->categories & PAGE_IS_PFNZERO)
		return;
	for (uint64_t at = region->start; at < region->end;) {
		size_t count = 0;
		for (; count < WIRE_PAGES && at < region->end; at += PAGE_BYTES)
			address[count++] = at;
		read_pages(pid, memory, address, count, buffer, good);
		for (size_t i = 0; i < count; i++)
			if (good[i])
				found(address[i], buffer + i * PAGE_BYTES, context);
	}
}

void read_pages(pid_t pid, int memory, const uint64_t *address, size_t count, char *buffer, bool *good)
{
	for (size_t at = 0; at < count;) {
		size_t got = read_some(pid, address + at, count - at, buffer + at * PAGE_BYTES);
		memset(good + at, true, got);
		at += got;
		if (at == count)
			break;
		/* Memory without read permission can be read only as a debugger reads it (FOLL_FORCE). */
		good[at] = pread(memory, buffer + at * PAGE_BYTES, PAGE_BYTES, (off_t)address[at]) == (ssize_t)PAGE_BYTES;
		at++;
	}
}
