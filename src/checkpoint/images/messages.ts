import protobuf from 'protobufjs';

/**
 * The messages of CRIU's images that Rankshift reads, with CRIU's own names and field numbers (images/*.proto of
 * CRIU 4.2: fdinfo, sk-inet, tcp-stream, stats, pstree, core, rseq). Fields that are not listed are skipped; enumerations are
 * numbers.
 */
const definitions = `
syntax = "proto2";

message file_entry {
  required uint32 type = 1;
  required uint32 id = 2;
  optional inet_sk_entry isk = 4;
}

message inet_sk_entry {
  required uint32 id = 1;
  required uint32 ino = 2;
  required uint32 family = 3;
  required uint32 type = 4;
  required uint32 proto = 5;
  required uint32 state = 6;
  required uint32 src_port = 7;
  required uint32 dst_port = 8;
  repeated uint32 src_addr = 11;
  repeated uint32 dst_addr = 12;
}

message tcp_stream_entry {
  required uint32 inq_len = 1;
  required uint32 inq_seq = 2;
  required uint32 outq_len = 3;
  required uint32 outq_seq = 4;
  optional uint32 unsq_len = 12;
}

message pstree_entry {
  required uint32 pid = 1;
  repeated uint32 threads = 5;
}

message rseq_entry {
  required uint64 rseq_abi_pointer = 1;
  required uint32 rseq_abi_size = 2;
}

message thread_core_entry {
  optional rseq_entry rseq_entry = 15;
}

message task_core_entry {
  required uint32 task_state = 1;
}

message core_entry {
  optional task_core_entry tc = 3;
  optional thread_core_entry thread_core = 5;
}

message dump_stats_entry {
  required uint32 freezing_time = 1;
  required uint32 frozen_time = 2;
  required uint32 memdump_time = 3;
  required uint32 memwrite_time = 4;
  required uint64 pages_scanned = 5;
  required uint64 pages_skipped_parent = 6;
  required uint64 pages_written = 7;
  optional uint32 irmap_resolve = 8;
  required uint64 pages_lazy = 9;
  optional uint64 page_pipes = 10;
  optional uint64 page_pipe_bufs = 11;
  optional uint64 shpages_scanned = 12;
  optional uint64 shpages_skipped_parent = 13;
  optional uint64 shpages_written = 14;
}

message restore_stats_entry {
  required uint64 pages_compared = 1;
  required uint64 pages_skipped_cow = 2;
  required uint32 forking_time = 3;
  required uint32 restore_time = 4;
  optional uint64 pages_restored = 5;
}

message stats_entry {
  optional dump_stats_entry dump = 1;
  optional restore_stats_entry restore = 2;
}
`;

const { root } = protobuf.parse(definitions, { keepCase: true });

export type MessageName = 'file_entry' | 'tcp_stream_entry' | 'stats_entry' | 'pstree_entry' | 'core_entry';

/** One message as a plain object; 64-bit integers as numbers. @throws Error where the bytes are no such message. */
export function decode(name: MessageName, bytes: Uint8Array): Record<string, unknown> {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { longs: Number, arrays: true });
}
