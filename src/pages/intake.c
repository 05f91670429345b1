#include "intake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../init/arguments.h"
#include "uapi.h"

static struct wire_run table[WIRE_RUNS];
static char data[WIRE_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

static _Noreturn void corrupted(const struct intake *stream, const char *what)
{
	fail(1, "the page stream is corrupted at byte %" PRIu64 " (record %" PRIu64 "): %s", stream->bytes, stream->records,
	     what);
}

static void take_bytes(struct intake *stream, void *buffer, size_t length)
{
	if (read_whole(buffer, length) == 0)
		return;
	if (errno == EPIPE)
		fail(1, "the page stream ended after %" PRIu64 " records, before its end mark", stream->records);
	fail(1, "the page stream broke: %s", strerror(errno));
}

/* Lengths first, for what is read next; the contents count only after the checksum. */
static void read_record(struct intake *stream, struct wire_record *record)
{
	take_bytes(stream, record, sizeof *record);
	if (record->kind < WIRE_HELLO || record->kind > WIRE_END || record->runs > WIRE_RUNS || record->pages > WIRE_PAGES)
		corrupted(stream, "no record of pages");
	take_bytes(stream, table, record->runs * sizeof *table);
	take_bytes(stream, data, record->pages * PAGE_BYTES);
	struct iovec piece = { data, record->pages * PAGE_BYTES };
	stream->chain = wire_checksum(record, table, &piece, 1, stream->chain);
	if (stream->chain != record->checksum)
		corrupted(stream, "wrong checksum");
	stream->records++;
	stream->bytes += sizeof *record + record->runs * sizeof *table + record->pages * PAGE_BYTES;
}

/* A sender with a mistake must not write anywhere else: each run lies in user space and, in lists, behind the last. */
static void check_runs(const struct intake *stream, const struct wire_record *record, uint64_t from)
{
	uint64_t pages = 0;
	for (uint32_t i = 0; i < record->runs; i++) {
		uint64_t count = table[i].pages & ~WIRE_ZERO;
		if (table[i].address % PAGE_BYTES != 0 || count == 0 || table[i].address >= STORE_END ||
		    count > (STORE_END - table[i].address) / PAGE_BYTES)
			corrupted(stream, "a range outside of any memory");
		if (table[i].pages == count)
			pages += count;
		if (record->kind != WIRE_DATA) {
			if (table[i].address < from)
				corrupted(stream, "a list that is not in order");
			from = table[i].address + count * PAGE_BYTES;
		}
	}
	if (record->kind == WIRE_DATA && pages != record->pages)
		corrupted(stream, "a table that does not fit its data");
}

static void store_pages(struct intake *stream, const struct wire_record *record)
{
	struct store_file *file = make_file(stream->files, record->process);
	const char *at = data;
	check_runs(stream, record, 0);
	for (uint32_t i = 0; i < record->runs; i++) {
		uint64_t address = table[i].address, length = (table[i].pages & ~WIRE_ZERO) * PAGE_BYTES, start;
		if (!(table[i].pages & WIRE_ZERO)) {
			write_file(file, address, at, length);
			at += length;
		} else if (next_data(file, address, address + length, &start)) {
			punch_file(file, address, address + length);
		}
		drop_segments(&file->coming, address, address + length);
	}
	file->data_pages += record->pages;
	stream->pages += record->pages;
}

static void keep(struct intake *stream, const struct wire_record *record)
{
	struct store_file *file = make_file(stream->files, record->process);
	check_runs(stream, record, file->kept_to);
	keep_ranges(file, table, record->runs, record->kind == WIRE_KEEP_LAST);
}

static void reserve(struct intake *stream, const struct wire_record *record)
{
	if (record->runs == 0) {
		printf("{\"reserved\":true}\n");
		fflush(stdout);
		return;
	}
	struct store_file *file = make_file(stream->files, record->process);
	check_runs(stream, record, 0);
	for (uint32_t i = 0; i < record->runs; i++)
		reserve_file(file, table[i].address, table[i].address + table[i].pages * PAGE_BYTES);
}

static void announce(struct intake *stream, const struct wire_record *record)
{
	struct store_file *file = make_file(stream->files, record->process);
	check_runs(stream, record, file->coming.count == 0 ? 0 : file->coming.at[file->coming.count - 1].end);
	for (uint32_t i = 0; i < record->runs; i++)
		append_segment(&file->coming, table[i].address, table[i].address + table[i].pages * PAGE_BYTES);
}

/* Every process that the source has, no other, and as many pages of each as were sent. */
static void check_totals(struct intake *stream, const struct wire_record *record)
{
	if (record->runs != stream->files->count)
		corrupted(stream, "another number of processes at the end");
	for (uint32_t i = 0; i < record->runs; i++) {
		struct store_file *file = find_file(stream->files, (uint32_t)table[i].address);
		if (record->kind == WIRE_END && file != NULL && file->coming.first < file->coming.count)
			corrupted(stream, "pages that were announced did not come");
		if (file == NULL || file->data_pages != table[i].pages || file->kept_to != 0)
			corrupted(stream, "another number of pages at the end");
	}
}

void greet(struct intake *stream)
{
	struct wire_record record;
	wait_for_record();
	read_record(stream, &record);
	if (record.kind != WIRE_HELLO || record.runs != 1 || table[0].address != WIRE_START || table[0].pages != PAGE_BYTES)
		corrupted(stream, "no page stream of this version");
}

enum wire_kind take_record(struct intake *stream)
{
	struct wire_record record;
	read_record(stream, &record);
	switch (record.kind) {
	case WIRE_DATA:
		store_pages(stream, &record);
		break;
	case WIRE_KEEP:
	case WIRE_KEEP_LAST:
		keep(stream, &record);
		break;
	case WIRE_RESERVE:
		reserve(stream, &record);
		break;
	case WIRE_COMING:
		announce(stream, &record);
		break;
	case WIRE_GONE:
		if (find_file(stream->files, record.process) != NULL)
			remove_file(stream->files, find_file(stream->files, record.process));
		break;
	case WIRE_LEFT:
	case WIRE_END:
		check_totals(stream, &record);
		break;
	default:
		corrupted(stream, "a second greeting");
	}
	return record.kind;
}
