import test, { type ExecutionContext } from 'ava';
import * as pty from 'node-pty';
import { type Route, route } from '../../api/route.ts';
import { serveApi } from '../../api/server.ts';
import { fakeMunge } from '../../api/testing.ts';
import { silentLog, testCluster } from '../../channel/testing.ts';
import { RankshiftError } from '../../errors.ts';
import { sampleNode, sampleRecord } from './testing/sample.ts';

const cluster = await testCluster();
const credentials = await cluster.issue('controller');
test.after.always(() => cluster.remove());

/** A controller with two nodes and a move; `down` makes each request fail. */
async function fakeController(): Promise<{
  port: number;
  fail(code: 'E_REDIS' | 'E_NOT_PERMITTED'): void;
  close(): Promise<void>;
}> {
  let failing: 'E_REDIS' | 'E_NOT_PERMITTED' | null = null;
  const answering = (path: string, answer: () => object): Route =>
    route({
      method: 'GET',
      path,
      handle: async () => {
        if (failing !== null) throw new RankshiftError(failing, 'it does not answer');
        return answer();
      },
    });
  const routes = [
    answering('/v1/nodes', () => ({ nodes: [sampleNode(1), sampleNode(2)] })),
    answering('/v1/migrations/:id', () => ({
      migration: sampleRecord(7),
      progress: { ...{ round: 1, sentBytes: 2 ** 20, ofBytes: 2 ** 21, bytesPerSecond: null }, at: 1000, since: 0 },
    })),
  ];
  // The list has a query.
  routes.push(answering('/v1/migrations', () => ({ migrations: [sampleRecord(7)] })));
  const server = await serveApi({
    host: '127.0.0.1',
    port: 0,
    credentials,
    routes,
    decode: fakeMunge().decode,
    log: silentLog,
  });
  return { port: server.port, fail: (code) => (failing = code), close: () => server.close() };
}

const esc = '\u001b';
const enter = `${esc}[?1049h`;
const leave = `${esc}[?1049l`;

/** A terminal of 80x24 with a shell in which the view runs, and after it what stty says. */
class Terminal {
  output = '';
  readonly #pty: pty.IPty;
  readonly #ended = Promise.withResolvers<void>();

  constructor(port: number, argument = '') {
    const viewer = `${import.meta.dirname}/testing/viewer.ts`;
    const line = `${process.execPath} ${viewer} ${port} ${cluster.dir} ${argument}`;
    // exec: the number that is said is the view's.
    this.#pty = pty.spawn('/bin/sh', ['-c', `sh -c 'echo pid=$$; exec ${line}'; echo code=$?; stty -a; echo over`], {
      ...{ name: 'xterm-256color', cols: 80, rows: 24 },
    });
    this.#pty.onData((data) => (this.output += data));
    this.#pty.onExit(() => this.#ended.resolve());
  }

  get pid(): number {
    return Number(/pid=(\d+)/.exec(this.output)?.[1]);
  }

  /** Lines of the last whole picture, without styles. */
  get picture(): string[] {
    const frames = this.output.split(`${esc}[H`).filter((text) => text.includes(`${esc}[J`));
    return (
      (frames.at(-1) ?? '')
        .split(`${esc}[J`)[0]
        ?.replaceAll(new RegExp(`${esc}\\[[0-9;]*[mK]`, 'g'), '')
        .split(/\r*\n/) ?? []
    );
  }

  write(keys: string): void {
    this.#pty.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows);
  }

  async until(what: () => boolean): Promise<void> {
    const deadline = performance.now() + 30_000;
    while (!what()) {
      if (performance.now() > deadline)
        throw new Error(`not seen; the terminal has: ${JSON.stringify(this.output.slice(-1500))}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The exit code, when the terminal is the shell's again. */
  async end(t: ExecutionContext): Promise<number> {
    await this.#ended.promise;
    const { output } = this;
    t.true(output.includes(enter));
    const after = output.slice(output.lastIndexOf(leave) + leave.length);
    t.is(output.split(leave).length, 2, 'given back once');
    t.true(output.includes(`${esc}[?25h`), 'the cursor is shown');
    t.false(after.includes(`${esc}[?`), 'and nothing is drawn afterwards');
    t.regex(after, /[^-]icanon/);
    t.regex(after, /[^-]echo\b/);
    t.regex(after, /over/);
    // node-pty keeps what watches its terminal until that is destroyed.
    (this.#pty as unknown as { destroy(): void }).destroy();
    return Number(/code=(\d+)/.exec(after)?.[1]);
  }
}

async function shown(port: number, argument?: string): Promise<Terminal> {
  const terminal = new Terminal(port, argument);
  await terminal.until(() => terminal.picture.some((line) => line.startsWith('7 ')));
  return terminal;
}

test('a picture of 80x24; keys, resize, and q', async (t) => {
  const controller = await fakeController();
  const terminal = await shown(controller.port);
  t.is(terminal.picture.length, 24);
  t.true(terminal.picture.every((line) => line.length <= 80));
  t.true(
    terminal.picture.some((line) => /^7 .*copying 1 +1\.0 MiB 50%/.test(line)),
    terminal.picture.join('\n'),
  );
  terminal.write('h');
  await terminal.until(() => terminal.picture.some((line) => line.includes('this help')));
  terminal.write('h ');
  await terminal.until(() => terminal.picture.some((line) => line.startsWith('HELD')));
  terminal.resize(60, 10);
  await terminal.until(() => terminal.picture.length === 10);
  t.true(terminal.picture.every((line) => line.length <= 60));
  terminal.write('q');
  t.is(await terminal.end(t), 0);
  await controller.close();
});

test('Ctrl-C, SIGTERM, and an error of the program leave the terminal clean', async (t) => {
  const controller = await fakeController();
  const [first, second] = await Promise.all([shown(controller.port), shown(controller.port)]);
  first.write('\u0003');
  t.is(await first.end(t), 130);
  process.kill(second.pid, 'SIGTERM');
  t.is(await second.end(t), 143);
  const third = await shown(controller.port, 'throws');
  t.is(await third.end(t), 1);
  t.regex(third.output, /a fault of the program/);
  await controller.close();
});

test('a controller that goes away leaves the last picture; one that forbids it ends it', async (t) => {
  const controller = await fakeController();
  const terminal = await shown(controller.port);
  controller.fail('E_REDIS');
  await terminal.until(() => /s old: it does not answer/.test(terminal.picture[1] ?? ''));
  t.true(terminal.picture.some((line) => line.startsWith('n1 ')));
  controller.fail('E_NOT_PERMITTED');
  t.is(await terminal.end(t), 6);
  t.regex(terminal.output, /error: it does not answer/);
  await controller.close();
});
