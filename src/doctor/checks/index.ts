import type { Check } from '../finding.ts';
import { certificates } from './certificates.ts';
import { clock } from './clock.ts';
import { criu } from './criu.ts';
import { hooks } from './hooks.ts';
import { kernel } from './kernel.ts';
import { lazyMemory } from './lazy-memory.ts';
import { munge } from './munge.ts';
import { names } from './names.ts';
import { network } from './network.ts';
import { ports } from './ports.ts';
import { privileges } from './privileges.ts';
import { programs } from './programs.ts';
import { redis } from './redis.ts';
import { service } from './service.ts';
import { slurm } from './slurm.ts';
import { storage } from './storage.ts';

/** All checks, in the order in which a person would set a node up. */
export const checks: readonly Check[] = [
  privileges,
  kernel,
  network,
  programs,
  criu,
  lazyMemory,
  storage,
  names,
  clock,
  munge,
  slurm,
  hooks,
  certificates,
  redis,
  ports,
  service,
];
