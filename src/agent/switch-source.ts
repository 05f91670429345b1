import { join } from 'node:path';
import type { Envelope } from '../channel/envelope.ts';
import { type ArmedCriu, armDump } from '../checkpoint/dump.ts';
import { restartableAreas } from '../checkpoint/images/restartable-areas.ts';
import { freeze } from '../container/runtime.ts';
import { RankshiftError } from '../errors.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import { fitsIntoFreeze } from '../migration/model.ts';
import { type SwitchResult, unmeasured } from '../migration/record.ts';
import { hasRounds, mayLeavePages } from '../migration/strategy-kind.ts';
import { armBatch } from '../network/batch.ts';
import { hold } from '../network/hold.ts';
import { sumPages, sumsFile } from '../pages/verify-pages.ts';
import { patiently } from '../patience.ts';
import type { Armed } from '../process/armed.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { within } from '../store/connection.ts';
import { openSwitch } from '../store/containers.ts';
import { type Gang, leaveGang } from '../store/gangs.ts';
import { passSlot } from '../store/turns.ts';
import { Timeline } from '../telemetry/timeline.ts';
import { bulkTurn } from './bulk-turn.ts';
import { clockExchange, describeClocks, measureClocks, namespaceOffset, type SwitchClocks } from './clocks.ts';
import type { AgentContext } from './context.ts';
import { ControlLink } from './control-link.ts';
import { copyRounds, type RoundSource, roundsWhileWaiting } from './copy-rounds.ts';
import { armDrain, drain } from './drain.ts';
import { readLocalContainer, writeRole, writeSwitchResult } from './files.ts';
import { jobNodes } from './job-nodes.ts';
import { describeLocal, type LocalHandle, leaveOutOf, pagesProgramOf } from './local-handle.ts';
import { mountMigration, unmountMigration } from './migration-dir.ts';
import { parkRanks, releaseRanks } from './quiesce.ts';
import { gangOf, untilGangReached } from './rendezvous.ts';
import { repointPeers } from './repoint-peers.ts';
import { settleOthers } from './resolve.ts';
import { sendImages } from './send-images.ts';
import { connectMemory, type MemoryStream, type SentPages } from './send-pages.ts';
import { UpperSync } from './send-upper.ts';
import { settleSource } from './settle-source.ts';
import { connectFor, connectSwitch, type SwitchConnections } from './switch-connections.ts';
import { addSourceStats, addTargetView, sumOfPages } from './switch-result.ts';
import { takeTurn } from './take-turn.ts';
import { tellFreeze } from './tell-progress.ts';
import { copyTurn } from './tracker-turns.ts';
import { watchSwitch } from './watch-switch.ts';

/** A container may grow between its plan and its freeze; the size is a limit, not an allocation. */
const imageFactor = 2;
/** How long the target's reason is waited for; the container may be frozen. */
const reasonMs = 200;
const passMs = 2000;
/** Room for what CRIU writes beside the pages. */
const metadataBytes = 1_073_741_824;

/**
 * Conducts the switch of one container from its source node: freeze, drain, hold, dump to the target, and then the
 * target's word. Everything that can be done before the freeze is done before it. Never throws once the switch is open:
 * its result says what was decided. If this process dies anywhere in here, recover.ts settles by role.json and the
 * commit record.
 */
export async function switchSource(
  context: AgentContext,
  order: SwitchOrder,
  envelope: Envelope,
): Promise<SwitchResult> {
  const { config, node, redis } = context;
  const { migration, container, epoch } = order;
  await settleOthers(context, container, migration);
  const local = await readLocalContainer(config, container);
  if (local === null || local.epoch !== epoch) {
    throw new RankshiftError('E_STALE', `${node} does not own ${container} at epoch ${epoch}`);
  }
  const [source, target] = [order.source.node, order.target.node];
  await writeRole(config, {
    role: 'source',
    migration,
    container,
    epoch,
    source,
    target,
    facts: local.facts,
    lazy: order.lazy,
    postCopy: mayLeavePages(order.strategy),
    clock: null,
  });
  // Before anything looks at its processes: they are no children of PID 1, and could not be dumped.
  await context.shells.close(local.facts, `${container} moves to ${target}`).catch(async (error: unknown) => {
    await unmountMigration(config, migration);
    throw error;
  });
  await mountMigration(config, migration, order.memoryBytes * imageFactor + metadataBytes);
  const answer = await openSwitch(redis, { container, migration, epoch, source, target });
  if (answer !== 'open') {
    await unmountMigration(config, migration);
    throw new RankshiftError('E_STALE', `the commit record of ${container} says: ${answer}`);
  }

  const run = new SourceRun(context, order, new Timeline(node), await describeLocal(context, local.facts));
  await run.conduct(envelope);
  if (run.result.outcome === 'committed') await writeSwitchResult(config, migration, run.result);
  return run.result;
}

class SourceRun {
  readonly result: SwitchResult = { ...unmeasured };
  readonly context: AgentContext;
  readonly order: SwitchOrder;
  readonly timeline: Timeline;
  readonly handle: LocalHandle;
  #connections: SwitchConnections | null = null;
  #link: ControlLink | null = null;
  #memory: MemoryStream | null = null;
  #upper: UpperSync | null = null;
  #dumped: Promise<void> | null = null;
  #frozenNs: bigint | null = null;
  #clocks: SwitchClocks | null = null;
  /** Ends the look whether the move was called off. */
  readonly #settling = new AbortController();
  #endCopy: () => void = () => undefined;
  /** Those that freeze with it. */
  #gang: Gang | null = null;
  /** Others of the job may freeze. */
  #endTurn: () => void = () => undefined;
  /** Programs that wait for the freeze. */
  #armed: { drain: Armed; hold: Armed; dump: ArmedCriu<[]> } | null = null;

  constructor(context: AgentContext, order: SwitchOrder, timeline: Timeline, handle: LocalHandle) {
    this.context = context;
    this.order = order;
    this.timeline = timeline;
    this.handle = handle;
  }

  async conduct(envelope: Envelope): Promise<void> {
    const { context, order, result, timeline } = this;
    let failed = false;
    try {
      await this.prepare(envelope);
      await this.freezeAndSend();
      await this.#link?.committed;
      timeline.mark('told of the commit');
      this.#endTurn();
      // The controller says so too; its word waits for what the target measures.
      this.#passSlot();
      await this.#breakpoint('committed');
      result.outcome = 'committed';
    } catch (error) {
      failed = true;
      result.error = (await this.#reason(error)).toJSON();
      context.log.warn({ migration: order.migration, error: result.error.message }, 'the switch failed on the source');
    }
    this.#settling.abort();
    await this.#memory?.end();
    this.#upper?.end();
    this.#endCopy();
    this.#armed?.drain.drop();
    this.#armed?.hold.drop();
    this.#armed?.dump.drop();
    // It freezes and thaws the cgroup by itself until its end: what is thawed before could be frozen again for ever.
    await this.#dumped?.catch(() => undefined);
    // A refusal is the target's word that it will never commit; anything else the record decides.
    result.outcome = await settleSource(
      context,
      { ...order, facts: this.handle.facts },
      {
        refused: this.#link?.refused ?? false,
        postCopy: mayLeavePages(order.strategy),
        soon: true,
        timeline,
        ...(this.#connections === null ? {} : { peers: this.#connections.peers }),
      },
    );
    if (failed) this.#leaveGang();
    if (result.outcome === 'committed') {
      result.error = null;
      await addSourceStats(result, this.handle.workDir(order.migration));
      await addTargetView(result, this.#link, this.#frozenNs, this.#clocks);
    }
    this.#connections?.close();
    this.#endTurn();
    if (result.outcome === 'rolled-back') await unmountMigration(context.config, order.migration);
    result.timeline = [...timeline.entries, ...result.timeline].sort((a, b) => a.at - b.at);
  }

  /** A stream breaks where the target gives up, and the target's word says why; it comes a moment later. */
  async #reason(error: unknown): Promise<RankshiftError> {
    const known = RankshiftError.from(error);
    if (known.code !== 'E_LINK' || this.#link === null) return known;
    const late = new Promise<RankshiftError>((resolve) => setTimeout(() => resolve(known), reasonMs));
    return await Promise.race([this.#link.failed.catch((told: unknown) => RankshiftError.from(told)), late]);
  }

  /** What runs while the ranks run. */
  async prepare(envelope: Envelope): Promise<void> {
    const { context, order, timeline } = this;
    await this.#breakpoint('connect');
    const connections = await timeline.span('connect', () => connectSwitch(context, order, envelope));
    this.#connections = connections;
    const link = new ControlLink(connections.control);
    this.#link = link;
    void watchSwitch(context, order, this.#settling.signal, link.giveUp);
    this.#memory = await timeline.span('connect pages', () =>
      connectMemory(context, connections.pages, order, this.handle),
    );
    const upper = new UpperSync(context, order, connections.upper, this.handle, timeline);
    this.#upper = upper;
    await link.race(upper.passes());
    const { rounds, reserve } = this.#memory;
    const live = hasRounds(order.strategy) && rounds !== null;
    // No look tracks what is copied, or dumped.
    this.#endCopy = await copyTurn(context, order.container);
    if (live) await this.copy(rounds, link);
    if (!live || !order.lazy) await timeline.span('reserve', () => link.race(reserve()));
    await link.race(upper.pass());
    this.#clocks = await timeline.span('clocks', () => this.#measureClocks());
    this.#armed = { drain: armDrain(context, this.handle), hold: armBatch('ip'), dump: this.#armDump() };
    await timeline.span('turn', () => link.race(this.#takeTurn(connections)));
    await this.#breakpoint('before-freeze');
  }

  /** Rounds over the memory while the ranks run, as many as the model finds worth it. */
  async copy(source: RoundSource, link: ControlLink): Promise<void> {
    const { context, order, timeline, result } = this;
    await this.#breakpoint('copying');
    const turn = bulkTurn(context, order);
    try {
      await timeline.span('copy turn', () => link.race(turn.ready));
      result.copy = await link.race(copyRounds(context, order, source, timeline));
    } finally {
      turn.end();
    }
    // What is left is little: the next may begin to copy.
    this.#passSlot();
    await this.#breakpoint('copied');
  }

  /** The downtime window, as far as the source has to do with it. */
  async freezeAndSend(): Promise<void> {
    const { context, order, timeline, handle, result } = this;
    const [connections, link, clocks, armed] = [this.#connections, this.#link, this.#clocks, this.#armed];
    const [memory, upper] = [this.#memory, this.#upper];
    if (connections === null || link === null || clocks === null || armed === null || memory === null || upper === null)
      throw new Error('not prepared');
    if (order.quiesce === 'mpi') {
      result.quiesce = await timeline.span('quiesce', () => link.race(parkRanks(context, handle)));
      await this.#breakpoint('parked');
    }
    link.check();
    this.#frozenNs = timeline.mark('frozen');
    await timeline.span('freeze', () => freeze(handle.cgroup));
    const nodeMonotonicNs = process.hrtime.bigint();
    await this.#breakpoint('frozen');
    // They stand frozen, and move as released: nobody has to think of it after the restore.
    if (order.quiesce === 'mpi') await releaseRanks(handle.rootfs);
    if (order.quiesce !== 'none') result.drain = await timeline.span('drain', () => drain(context, armed.drain));
    const gang = this.#gang;
    if (gang !== null) await timeline.span('gang', () => untilGangReached(context, gang, order.migration, 'drained'));
    await timeline.span('hold', () => hold(handle.identity, armed.hold));
    await this.#breakpoint('held');
    const imageDir = handle.imageDir(order.migration);
    const [, upperBytes, pages] = await link.race(
      Promise.all([
        timeline.span('repoint', () => repointPeers(handle, connections.peers, order.target.address)),
        timeline.span('upper', () => upper.finish()),
        this.dumpAndSend(memory, armed.dump),
      ]),
    );
    await this.#breakpoint('dumped');
    if (order.verify) await link.race(timeline.span('sum', () => this.#sumPages()));
    const metadata = await link.race(
      timeline.span('metadata', () => sendImages(connections.control, imageDir, order.lazy)),
    );
    const offset = namespaceOffset(order.clockPolicy, handle.clock, clocks, nodeMonotonicNs);
    await link.send({ op: 'restore', monotonicNs: String(offset.monotonicNs), boottimeNs: String(offset.boottimeNs) });
    timeline.mark('sent');
    result.bytes = { ...sumOfPages(pages, result.copy), upper: upperBytes, metadata };
    result.upper = upper.result;
    result.clock = describeClocks(order.clockPolicy, handle.clock, clocks, offset);
    await this.#breakpoint('sent');
  }

  /** Nothing else of the job is frozen now, and everybody who has to be told is there. */
  async #takeTurn(connections: SwitchConnections): Promise<void> {
    const { context, order, handle, timeline } = this;
    this.#gang = await takeTurn(context, order, {
      sendWritten: roundsWhileWaiting(order, this.#memory?.rounds ?? null, this.result, timeline),
      refresh: async () => {
        await this.#upper?.pass();
        this.#clocks = await timeline.span('clocks', () => this.#measureClocks());
      },
      begun: (end) => {
        this.#endTurn = end;
      },
      tell: async () => connections.addPeers(await jobNodes(context, handle.facts)),
      signal: this.#settling.signal,
    });
  }

  #armDump(): ArmedCriu<[]> {
    const { context, handle, order } = this;
    const { cgroup, rootfs, externals, initPid, nodeProgram } = handle;
    const [imageDir, workDir] = [handle.imageDir(order.migration), handle.workDir(order.migration)];
    const criu = context.config.criuPath;
    return armDump({
      ...{ criu, nodeProgram, initPid, cgroup, rootfs, externals, imageDir, workDir },
      leaveOut: leaveOutOf(context.config),
      ...{ lazy: order.lazy, parent: this.#memory?.parent() ?? null },
    });
  }

  /** CRIU writes into the memory file system here, and what it has written goes to the target meanwhile. */
  async dumpAndSend(memory: MemoryStream, dump: ArmedCriu<[]>): Promise<SentPages> {
    const { timeline } = this;
    this.#dumped = timeline.span('dump', () => dump.fire());
    const dumped = this.#dumped;
    const [sent] = await Promise.all([timeline.span('pages', () => this.sendRest(memory, dumped)), dumped]);
    return sent;
  }

  /** What is missing on the target, or word of it where it may come later and is too much for the freeze. */
  async sendRest(memory: MemoryStream, dumped: Promise<void>): Promise<SentPages> {
    const { context, order, result } = this;
    const finish = () => memory.finish(dumped, tellFreeze(context, order, result.copy));
    if (!mayLeavePages(order.strategy)) return await finish();
    if (result.copy !== null && fitsIntoFreeze(result.copy)) {
      result.leftBytes = 0;
      return await finish();
    }
    const { bytes, leftBytes } = await memory.leave();
    result.leftBytes = leftBytes;
    return { bytes: bytes + leftBytes, wireBytes: null };
  }

  /** After the dump: CRIU has taken its parasite out of the ranks, and its images say what the kernel itself writes. */
  async #sumPages(): Promise<void> {
    const { context, handle, order } = this;
    const imageDir = handle.imageDir(order.migration);
    const areas = await restartableAreas(imageDir);
    await sumPages(pagesProgramOf(context.config), handle.cgroup, join(imageDir, sumsFile), areas);
  }

  /** On a connection of its own, which has been waiting for nothing else. */
  async #measureClocks(): Promise<SwitchClocks> {
    const channel = await connectFor(this.context, this.order.target, { op: 'link' });
    try {
      return await measureClocks(clockExchange(channel, patiently(2000)));
    } finally {
      channel.destroy();
    }
  }

  /** Its memory has left: another may copy. */
  #passSlot(): void {
    void within(passMs, passSlot(this.context.redis, this.order.migration)).catch(() => undefined);
  }

  /** It runs again here, or will on its target when that is back: those that stand restored need not wait for it. */
  #leaveGang(): void {
    const gang = gangOf(this.order);
    if (gang === null) return;
    void within(passMs, leaveGang(this.context.redis, gang, this.order.migration)).catch(() => undefined);
  }

  #breakpoint(name: string): Promise<void> {
    return breakpoint(this.context.config, `source-${name}`);
  }
}
