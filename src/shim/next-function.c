#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

struct search {
	const char *name;
	int first; /* the program itself comes first: what it defines is never ours to call */
	void *found;
};

struct tables {
	const ElfW(Sym) *symbols;
	const char *names;
	const uint32_t *gnu_hash, *hash;
};

/* glibc relocates the addresses in a dynamic section, musl does not, and nobody those of the vDSO. */
static const void *address(ElfW(Addr) base, ElfW(Addr) value)
{
	return (const void *)(value < base ? base + value : value);
}

static void *defined(const struct tables *tables, uint32_t index, const char *name, ElfW(Addr) base)
{
	const ElfW(Sym) *symbol = &tables->symbols[index];
	if (symbol->st_shndx == SHN_UNDEF || (symbol->st_info & 0xf) != STT_FUNC)
		return NULL;
	return strcmp(tables->names + symbol->st_name, name) == 0 ? (void *)(base + symbol->st_value) : NULL;
}

/* https://sourceware.org/gnu-gabi/program-loading-and-dynamic-linking.txt, "DT_GNU_HASH" */
static void *by_gnu_hash(const struct tables *tables, const char *name, ElfW(Addr) base)
{
	uint32_t buckets = tables->gnu_hash[0], offset = tables->gnu_hash[1], words = tables->gnu_hash[2], hash = 5381;
	const uint32_t *bucket = &tables->gnu_hash[4] + words * (sizeof(ElfW(Addr)) / 4), *chain = bucket + buckets;
	for (const char *c = name; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char)*c;
	for (uint32_t index = bucket[hash % buckets]; index >= offset && index != 0; index++) {
		uint32_t value = chain[index - offset];
		void *found = ((value ^ hash) & ~1u) == 0 ? defined(tables, index, name, base) : NULL;
		if (found != NULL || (value & 1) != 0)
			return found;
	}
	return NULL;
}

static void *by_hash(const struct tables *tables, const char *name, ElfW(Addr) base)
{
	for (uint32_t index = 1; index < tables->hash[1]; index++) {
		void *found = defined(tables, index, name, base);
		if (found != NULL)
			return found;
	}
	return NULL;
}

static int look_into(struct dl_phdr_info *object, size_t size, void *data)
{
	struct search *search = data;
	struct tables tables = { 0 };
	const ElfW(Dyn) *dynamic = NULL;
	ElfW(Addr) base = object->dlpi_addr;
	(void)size;
	if (search->first) {
		search->first = 0;
		return 0;
	}
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *)(base + object->dlpi_phdr[i].p_vaddr);
	if (dynamic == NULL || dynamic == _DYNAMIC)
		return 0;
	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		const void *value = address(base, dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_SYMTAB)
			tables.symbols = value;
		else if (dynamic->d_tag == DT_STRTAB)
			tables.names = value;
		else if (dynamic->d_tag == DT_GNU_HASH)
			tables.gnu_hash = value;
		else if (dynamic->d_tag == DT_HASH)
			tables.hash = value;
	}
	if (tables.symbols == NULL || tables.names == NULL)
		return 0;
	if (tables.gnu_hash != NULL)
		search->found = by_gnu_hash(&tables, search->name, base);
	else if (tables.hash != NULL)
		search->found = by_hash(&tables, search->name, base);
	return search->found != NULL;
}

/*
 * Like dlsym(RTLD_NEXT), without libdl, and with what was loaded by dlopen for one library alone: an MPI that Python has
 * loaded is no part of the global scope, but its calls come to us all the same.
 */
void *next_function(const char *name)
{
	struct search search = { .name = name, .first = 1 };
	dl_iterate_phdr(look_into, &search);
	return search.found;
}

static void say(const char *text)
{
	(void)!write(2, text, strlen(text));
}

void *needed_function(void **kept, const char *name)
{
	void *found = next_function(name);
	if (found == NULL) {
		say("rankshift: no library of this process has ");
		say(name);
		say("\n");
		_exit(127);
	}
	__atomic_store_n(kept, found, __ATOMIC_RELEASE);
	return found;
}
