import type { ApiClient } from '../../api/client.ts';
import { RankshiftError } from '../../errors.ts';
import { frame, mostScroll, nodeOrders, type View } from './frame.ts';
import { type Overview, readMoves, readNodes, type TopNode } from './overview.ts';
import { Screen, signalExit } from './screen.ts';

export const intervals = { leastMs: 250, mostMs: 60_000 } as const;
/** Each look at the nodes asks Slurm; moves are looked at every time. */
const nodesEveryMs = 3000;

/** The live view until a key or a signal ends it; the exit code. @throws RankshiftError where the first look fails. */
export async function live(api: ApiClient, intervalMs: number): Promise<number> {
  const nodes = await readNodes(api);
  const overview: Overview = { nodes, moves: await readMoves(api), at: Date.now() };
  const top = new LiveTop(api, overview, intervalMs);
  return await top.run();
}

class LiveTop {
  readonly #api: ApiClient;
  readonly #screen = new Screen(process.stdin, process.stdout);
  readonly #ended = Promise.withResolvers<number>();
  readonly #gone = new AbortController();
  #overview: Overview;
  #nodesAt = Date.now();
  #lastGood = Date.now();
  #view: View;
  #wake: () => void = () => undefined;

  constructor(api: ApiClient, overview: Overview, intervalMs: number) {
    this.#api = api;
    this.#overview = overview;
    this.#view = {
      ...{ columns: 80, rows: 24, order: 'name', scroll: 0, paused: false, help: false },
      ...{ intervalMs, trouble: null },
    };
  }

  async run(): Promise<number> {
    const handlers = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => {
      const handler = () => this.#ended.resolve(signalExit(signal));
      process.on(signal, handler);
      return () => process.removeListener(signal, handler);
    });
    const onKey = (bytes: Buffer) => this.#keys(bytes.toString());
    const onResize = () => this.#draw();
    process.stdin.on('data', onKey);
    // The terminal was closed.
    process.stdin.once('end', () => this.#ended.resolve(signalExit('SIGHUP')));
    process.stdout.on('resize', onResize);
    process.stdout.once('error', () => this.#ended.resolve(signalExit('SIGHUP')));
    try {
      this.#screen.open();
      this.#draw();
      void this.#look().catch((error: unknown) => this.#ended.reject(error));
      return await this.#ended.promise;
    } finally {
      this.#gone.abort();
      this.#wake();
      process.stdin.removeListener('data', onKey);
      process.stdout.removeListener('resize', onResize);
      this.#screen.close();
      for (const remove of handlers) remove();
    }
  }

  async #look(): Promise<void> {
    while (!this.#gone.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, this.#view.intervalMs).unref();
      });
      if (this.#gone.signal.aborted || this.#view.paused) continue;
      await this.#refresh();
      this.#draw();
    }
  }

  /** What cannot be had for a while leaves the last picture, with its age. What is forbidden ends the view. */
  async #refresh(): Promise<void> {
    const { signal } = this.#gone;
    try {
      const moves = await readMoves(this.#api, signal);
      const nodes = await this.#nodes(signal);
      this.#overview = { nodes, moves, at: Date.now() };
      this.#lastGood = Date.now();
      this.#view.trouble = null;
    } catch (error) {
      const known = RankshiftError.from(error);
      if (known.code === 'E_NOT_PERMITTED' || known.code === 'E_CONFIG') throw known;
      const seconds = Math.round((Date.now() - this.#lastGood) / 1000);
      this.#view.trouble = `${seconds} s old: ${known.message}`;
    }
  }

  async #nodes(signal: AbortSignal): Promise<TopNode[]> {
    if (Date.now() - this.#nodesAt < nodesEveryMs) return this.#overview.nodes;
    const nodes = await readNodes(this.#api, signal);
    this.#nodesAt = Date.now();
    return nodes;
  }

  #draw(): void {
    Object.assign(this.#view, this.#screen.size);
    this.#scrollTo(this.#view.scroll);
    this.#screen.draw(frame(this.#overview, this.#view));
  }

  #scrollTo(place: number): void {
    this.#view.scroll = Math.min(Math.max(0, place), mostScroll(this.#overview, this.#view));
  }

  /** A chunk of the terminal holds one key, or several that were typed ahead. */
  #keys(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: keys of a terminal begin with escape
    for (const key of text.match(/\x1b\[[0-9;]*[~A-Za-z]|\x1bO[A-Z]|[\s\S]/g) ?? []) this.#key(key);
    this.#draw();
  }

  #key(key: string): void {
    const view = this.#view;
    const page = Math.max(1, Math.floor(view.rows / 3));
    const actions: Record<string, () => void> = {
      q: () => this.#ended.resolve(0),
      '\x03': () => this.#ended.resolve(signalExit('SIGINT')),
      '\x1a': () => this.#screen.suspend(() => this.#draw()),
      h: () => (view.help = !view.help),
      ' ': () => (view.paused = !view.paused),
      s: () => (view.order = nodeOrders[(nodeOrders.indexOf(view.order) + 1) % nodeOrders.length] ?? 'name'),
      '+': () => (view.intervalMs = Math.min(intervals.mostMs, view.intervalMs * 2)),
      '-': () => (view.intervalMs = Math.max(intervals.leastMs, view.intervalMs / 2)),
      '\x1b[A': () => this.#scrollTo(view.scroll - 1),
      '\x1b[B': () => this.#scrollTo(view.scroll + 1),
      '\x1b[5~': () => this.#scrollTo(view.scroll - page),
      '\x1b[6~': () => this.#scrollTo(view.scroll + page),
      '\x1b[H': () => this.#scrollTo(0),
      '\x1b[F': () => this.#scrollTo(Number.MAX_SAFE_INTEGER),
    };
    const same: Record<string, string> = {
      Q: 'q',
      '?': 'h',
      k: '\x1b[A',
      j: '\x1b[B',
      '\x1bOA': '\x1b[A',
      '\x1bOB': '\x1b[B',
    };
    actions[same[key] ?? key]?.();
    this.#wake();
  }
}
