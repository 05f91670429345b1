import { z } from 'zod';

const id = z.number().int().min(0).max(0xffff_fffe);
const absolutePath = z.string().regex(/^\/[^\0\n]*$/, 'an absolute path');
const variable = z.string().regex(/^[^=\0]+$/);
const text = z.string().regex(/^[^\0]*$/);
/** A field of passwd(5) or hosts(5): nothing in it may begin another field or line. */
const field = z.string().regex(/^[^:\s\0]+$/);

/** Where our own files lie in a container. They belong to its upper directory, so they move with it. */
export const ownDirectory = '/.rankshift';

/** TCP port on which PID 1 takes launch requests of the job's other containers. */
export const launchPort = 7462;

export const containerHostSchema = z.object({
  /** Name inside the job: c0, c1, ... */
  name: z.string().regex(/^c\d{1,4}$/),
  ip: z.ipv4(),
  /** Ranks in this container. */
  slots: z.number().int().min(1).max(65536),
});

/** All that a node must know to make one rank container. It holds the job's secret: never log it as a whole. */
export const containerSpecSchema = z.object({
  job: z.number().int().min(1),
  index: z.number().int().min(0).max(9999),
  uid: id,
  gid: id,
  groups: z.array(id).max(65536),
  user: field,
  home: absolutePath.and(z.string().regex(/^[^:]*$/)),
  /** Directory in which the command runs. */
  cwd: absolutePath,
  image: z.string(),
  /** What PID 1 starts (mpirun, in the first container), or null: it only serves launch requests. */
  command: z.array(text).min(1).nullable(),
  env: z.record(variable, text),
  /** Every container of the job, this one included. */
  hosts: z.array(containerHostSchema).min(1),
  /** Name of the network namespace, as of ip-netns(8). */
  netns: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/),
  /** Path of the container's cgroup below the node's cgroup2 root. */
  cgroupPath: absolutePath,
  /** Secret of the job's launcher, 16 to 512 bytes of text. */
  secret: z.string().regex(/^[\x21-\x7e]{16,512}$/),
  /** Directories of the node (shared file systems) that the container sees under the same name. */
  sharedPaths: z.array(absolutePath),
  limits: z.object({
    /** RLIMIT_NOFILE; PID 1 gets it as soft and hard limit. */
    nofile: z.number().int().min(64).optional(),
    /** RLIMIT_MEMLOCK in bytes. */
    memlockBytes: z.union([z.number().int().min(0), z.literal('unlimited')]).optional(),
    /** Processors' worth of time, like 1.5. */
    cpus: z.number().positive().optional(),
    memoryBytes: z.number().int().positive().optional(),
    /** Size of /dev/shm. */
    shmBytes: z.number().int().positive().optional(),
  }),
});

export type ContainerHost = z.infer<typeof containerHostSchema>;
export type ContainerSpec = z.infer<typeof containerSpecSchema>;

/** Name of a container inside its job. */
export function containerName(index: number): string {
  return `c${index}`;
}
