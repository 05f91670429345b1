import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ArmedCriu } from '../checkpoint/dump.ts';
import { readRestoreExternals } from '../checkpoint/externals.ts';
import { decideGate, gateLog, gateStands, makeGate, untilGate } from '../checkpoint/gate.ts';
import { readStats } from '../checkpoint/images/stats.ts';
import { wakeList } from '../checkpoint/images/tcp-streams.ts';
import { armRestore, type ClockOffsets, dropTimeImages } from '../checkpoint/restore.ts';
import { containerDir, migrationDir } from '../config.ts';
import { cgroupDirectory } from '../container/find-init.ts';
import { rootfsPath } from '../container/rootfs.ts';
import { deleteContainer, killContainer, runcId } from '../container/runtime.ts';
import { RankshiftError } from '../errors.ts';
import type { Verified } from '../migration/record.ts';
import { armBatch } from '../network/batch.ts';
import { hold, release } from '../network/hold.ts';
import { overlayIdentity } from '../network/identity.ts';
import {
  killPageServers,
  type PageServer,
  pageServersOf,
  startPageServer,
  storeIsWhole,
} from '../pages/page-server.ts';
import { comparePages, sumsFile } from '../pages/verify-pages.ts';
import type { Armed } from '../process/armed.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { run } from '../process/run.ts';
import type { Timeline } from '../telemetry/timeline.ts';
import { makeCgroup } from './build-container.ts';
import type { AgentContext } from './context.ts';
import { type Role, writeLocalContainer } from './files.ts';
import { imageDirOf, nodeProgramOf, pagesProgramOf, storeDirOf, workDirOf } from './local-handle.ts';

/** How long the first data after the restore is waited for. */
const progressMs = 5000;
const progressSchema = z.object({ firstDataRealtimeNs: z.string().nullable() });
/** Tries to bring a committed container up when CRIU fails behind the gate. */
const triesAfterCommit = 3;

/** The restore of one container on its target, up to the gate and beyond. */
export class Restoration {
  readonly context: AgentContext;
  /** With the clock offsets once they are known. */
  role: Role;
  readonly timeline: Timeline;
  readonly runcId: string;
  readonly directory: string;
  readonly identity: ReturnType<typeof overlayIdentity>;
  #ended: Promise<void> = Promise.resolve();
  /** Waits for the images. */
  #criu: ArmedCriu<[ClockOffsets]> | null = null;
  /** Waits for the commit. */
  #release: Armed | null = null;
  #pages: PageServer | null = null;
  #verified: Verified | null = null;
  #serving: Promise<void> | null = null;

  constructor(context: AgentContext, role: Role, timeline: Timeline) {
    this.context = context;
    this.role = role;
    this.timeline = timeline;
    this.runcId = runcId(role.facts.job, role.facts.index);
    this.directory = migrationDir(context.config, role.migration);
    this.identity = overlayIdentity(role.facts.job, role.facts.index, context.config);
  }

  /** Before the freeze: CRIU is started as far as it goes without images, in a process that waits. */
  async arm(): Promise<void> {
    const { config } = this.context;
    const { facts, container, migration, lazy } = this.role;
    await makeCgroup(this.context, facts);
    await makeGate(this.directory, nodeProgramOf(config));
    this.#criu?.drop();
    this.#criu = armRestore({
      criu: config.criuPath,
      nodeProgram: nodeProgramOf(config),
      rootfs: rootfsPath(containerDir(config, container)),
      cgroup: await cgroupDirectory(facts.job, facts.index),
      netns: join('/run/netns', this.identity.netns),
      externals: await readRestoreExternals(join(containerDir(config, container), 'bundle')),
      directory: this.directory,
      imageDir: imageDirOf(config, migration),
      workDir: workDirOf(config, migration),
      lazy,
    });
    this.#release ??= armBatch('bridge');
  }

  /** Restores until CRIU stands at its gate: complete, stopped, network locked and held. */
  async toGate(role: Role, server: PageServer | null = null): Promise<void> {
    const { clock } = role;
    this.role = role;
    if (clock === null) throw new Error('the clock offsets are missing');
    const imageDir = imageDirOf(this.context.config, role.migration);
    await this.timeline.span('restore set-up', async () => {
      if (server !== null) this.#pages = server;
      if (this.#criu === null) await this.arm();
      const served = role.lazy && server === null ? this.servePages() : undefined;
      await Promise.all([served, dropTimeImages(imageDir)]);
    });
    await this.timeline.span('restore', async () => {
      this.#ended = this.#criu?.fire(offsetsOf(clock)) ?? Promise.reject(new Error('not armed'));
      this.#ended.catch(() => undefined);
      this.#criu = null;
      // Looked at by CRIU's script behind the gate only.
      const wake = this.#writeWakeList(imageDir);
      wake.catch(() => undefined);
      await untilGate(this.directory, this.#ended);
      await wake;
    });
  }

  async #writeWakeList(imageDir: string): Promise<void> {
    if (!this.context.config.wake) return;
    await writeFile(join(this.directory, 'wake.list'), await wakeList(imageDir));
    await writeFile(join(this.directory, 'wake.netns'), join('/run/netns', this.identity.netns));
  }

  /** Takes the place of CRIU's lazy-pages daemon as soon as all pages are here; it works on when this agent dies. */
  servePages(): Promise<void> {
    this.#serving ??= this.#startServer();
    return this.#serving;
  }

  async #startServer(): Promise<void> {
    const { config } = this.context;
    const { migration, facts, postCopy } = this.role;
    if (postCopy && !storeIsWhole(storeDirOf(config, migration))) {
      // What takes the pages that were left behind serves this restore too; nobody else could.
      if ((await pageServersOf(workDirOf(config, migration))).length > 0) return;
      throw new RankshiftError('E_LOST', `the memory of ${facts.id} has not come, and what took it has ended`);
    }
    this.#pages = await startPageServer({
      pages: pagesProgramOf(config),
      store: storeDirOf(config, migration),
      workDir: workDirOf(config, migration),
      cgroup: await cgroupDirectory(facts.job, facts.index),
    });
  }

  /** At the gate: what was restored has every page of the frozen source. @throws RankshiftError E_VERIFY. */
  async verify(): Promise<void> {
    const { config } = this.context;
    const { migration, facts } = this.role;
    await this.#pages?.populate();
    const cgroup = await cgroupDirectory(facts.job, facts.index);
    const file = join(imageDirOf(config, migration), sumsFile);
    this.#verified = await comparePages(pagesProgramOf(config), cgroup, file);
  }

  /** Just before the commit: what it would give the container to is still there. @throws RankshiftError E_CRIU. */
  async stands(): Promise<void> {
    if (await gateStands(this.directory)) return;
    await this.#ended;
    throw new RankshiftError('E_CRIU', 'CRIU ended at its gate');
  }

  /**
   * After the commit: port and gate at once; the sockets are there, so that nothing is answered with RST. Where
   * nobody stands at the gate any more the port stays held: what these sockets acknowledged, the peers would never send
   * to the ones that are restored next (untilRunning).
   * @param others where it was frozen together with others: waits until these are as far. Port and gate stay shut until all
   * stand: of one that ends at an open port is lost what its sockets have acknowledged.
   */
  async open(others: ((step: 'standing' | 'released') => Promise<boolean>) | null = null): Promise<void> {
    const together = others !== null && (await this.timeline.span('gang stands', () => others('standing')));
    const armed = this.#release ?? undefined;
    this.#release = null;
    if (!(await gateStands(this.directory))) {
      armed?.drop();
      return;
    }
    // At once: CRIU's wake of the peers, some milliseconds behind the gate, must find the port open.
    const released = this.timeline.span('release', () => release(this.identity, armed));
    if (together) {
      await released;
      await this.timeline.span('gang released', () => others('released'));
    }
    await decideGate(this.directory, 'open');
    this.timeline.mark('gate opened');
    await released;
  }

  /** Waits until the container runs here, remembers it, and looks for the first data from its peers. */
  async afterwards(epoch: number): Promise<{
    runningAtNs: string;
    firstDataAtNs: string | null;
    criu: Record<string, number>;
    pagesBytes: number;
    verified: Verified | null;
  }> {
    const { config } = this.context;
    const { facts, migration } = this.role;
    const netns = join('/run/netns', this.identity.netns);
    const progress = run(nodeProgramOf(config), ['progress', netns, String(progressMs)], {
      timeoutMs: progressMs + 5000,
    });
    progress.catch(() => undefined);
    await writeLocalContainer(config, { facts, epoch });
    await breakpoint(config, 'target-recorded');
    await this.untilRunning();
    this.#pages?.free();
    const log = await gateLog(this.directory);
    const running = log.get('post-resume') ?? log.get('pre-resume') ?? 0n;
    for (const [stage, at] of log) this.timeline.mark(`criu ${stage}`, at);
    const first = await progress
      .then(({ stdout }) => progressSchema.parse(JSON.parse(stdout)).firstDataRealtimeNs)
      .catch(() => null);
    if (first !== null) this.timeline.mark('first data', BigInt(first));
    const criu = await readStats(workDirOf(config, migration)).catch(() => ({}));
    return { runningAtNs: String(running), firstDataAtNs: first, criu, pagesBytes: 0, verified: this.#verified };
  }

  /** Before the commit: nothing of the copy stays. The caller has refused the gate. */
  async abandon(): Promise<void> {
    this.#criu?.drop();
    this.#release?.drop();
    await this.#serving?.catch(() => undefined);
    await this.#ended.catch(() => undefined);
    await this.#destroy({ keepServer: false });
  }

  /**
   * Removes what a restore made. Where CRIU was killed at its gate, that is every task, each waiting in CRIU's restorer
   * for ever, and runc does not know of them.
   */
  async #destroy({ keepServer }: { keepServer: boolean }): Promise<void> {
    const { config } = this.context;
    const { job, index } = this.role.facts;
    await killContainer(config, this.runcId, await cgroupDirectory(job, index));
    if (!keepServer) await killPageServers(workDirOf(config, this.role.migration));
    this.#serving = null;
    await deleteContainer(config, this.runcId);
  }

  /** CRIU may still fail behind its gate; the images are here, so it is done again. */
  async untilRunning(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#ended;
        return;
      } catch (error) {
        const known = RankshiftError.from(error);
        // It ran: to restore it once more would set it back behind what its peers have seen.
        if ((await gateLog(this.directory)).has('post-resume')) return;
        this.context.log.error(
          { migration: this.role.migration, attempt, error: known.message },
          'the restore failed after the commit',
        );
        if (attempt >= triesAfterCommit) throw known;
        await this.again();
      }
    }
  }

  /** Restores a committed container once more and opens its gate at once. */
  async again(): Promise<void> {
    const { config } = this.context;
    const { postCopy, migration } = this.role;
    // Open until now: without its sockets the namespace would answer the peers with RST.
    await hold(this.identity);
    await this.#destroy({ keepServer: postCopy && !storeIsWhole(storeDirOf(config, migration)) });
    await run('rm', ['-f', join(this.directory, 'gate.ready')]);
    await this.toGate(this.role);
    await this.open();
  }
}

function offsetsOf({ monotonicNs, boottimeNs }: NonNullable<Role['clock']>): ClockOffsets {
  return { monotonicNs: BigInt(monotonicNs), boottimeNs: BigInt(boottimeNs) };
}
