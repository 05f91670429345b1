import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseConfig } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import { bundleConfig, writeBundle } from './bundle.ts';
import { containerCgroup, freeze, isFrozen, killCgroup, processesOf, thaw } from './cgroup.ts';
import { imagesInUse } from './images/in-use.ts';
import { registerLayers } from './images/register.ts';
import { createStore, layerPath } from './images/store.ts';
import { mpiCommand, mpiEnvironment } from './mpi/launch-plan.ts';
import { containerEnvironment } from './mpi-environment.ts';
import { readExit, readOutput } from './output.ts';
import { isMounted, mountRootfs, rootfsPath, unmountRootfs } from './rootfs.ts';
import { resolveSharedPaths } from './shared-paths.ts';
import { type ContainerSpec, containerSpecSchema } from './spec.ts';
import { prepareUpper } from './upper.ts';

const root = process.getuid?.() === 0;
const asRoot = root ? test : test.skip;

async function scratch(t: { teardown(end: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rankshift-container-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const hosts = [
  { name: 'c0', ip: '10.201.0.1', slots: 1 },
  { name: 'c1', ip: '10.201.0.2', slots: 2 },
];
const spec: ContainerSpec = containerSpecSchema.parse({
  job: 42,
  index: 0,
  uid: 4321,
  gid: 4322,
  groups: [4322, 100],
  user: 'alice',
  home: '/home/alice',
  cwd: '/home/alice/run',
  image: 'mpi',
  command: mpiCommand({
    mpi: 'openmpi',
    starter: 'mpirun',
    preload: null,
    hosts,
    ranks: 3,
    program: './melt',
    args: ['-in', 'x'],
  }),
  env: { A: 'b=c' },
  hosts,
  netns: 'rs-42-0',
  cgroupPath: '/rankshift/rs-42-0',
  secret: 'not-a-real-secret-0',
  sharedPaths: ['/home'],
  limits: { nofile: 4096, memlockBytes: 'unlimited', cpus: 1.5, memoryBytes: 1 << 30 },
});

test('a specification that would break a table of the container is refused', (t) => {
  for (const bad of [{ user: 'a:b' }, { home: '/x\n' }, { netns: '../x' }, { secret: 'short' }, { command: [] }]) {
    t.false(containerSpecSchema.safeParse({ ...spec, ...bad }).success, JSON.stringify(bad));
  }
});

test('the bundle runs PID 1 as the user, without capabilities, in the given namespaces', async (t) => {
  const config = bundleConfig(spec, { controllers: ['cpu'], sharedPaths: ['/home'] });
  t.like(config, {
    hostname: 'c0',
    process: {
      user: { uid: 4321, gid: 4322, additionalGids: [4322, 100] },
      noNewPrivileges: true,
      env: ['A=b=c'],
      cwd: '/',
    },
    linux: { cgroupsPath: '/rankshift/rs-42-0' },
  });
  const text = JSON.stringify(config);
  t.true(
    text.includes(
      '"--cwd","/home/alice/run","--","mpirun","--leave-session-attached","--hostfile","/.rankshift/hostfile","-n","3"',
    ),
  );
  t.true(text.includes('"capabilities":{"bounding":[],"effective":[],"permitted":[],"inheritable":[],"ambient":[]}'));
  t.true(text.includes('"cpu":{"period":100000,"quota":150000}'));
  t.false(text.includes('"limit":'), 'no memory controller, no memory limit');
  t.false(text.includes('not-a-real-secret'));
  t.false(text.includes('"type":"user"'));
  const directory = await scratch(t);
  await writeBundle(directory, spec, { controllers: [], sharedPaths: [] });
  const written = await readFile(join(directory, 'bundle/config.json'), 'utf8');
  t.regex(written, /"type": "RLIMIT_MEMLOCK",\s*"soft": 18446744073709551615,\s*"hard": 18446744073709551615/);
  const serving = bundleConfig({ ...spec, command: null }, { controllers: [], sharedPaths: [] });
  t.false(JSON.stringify(serving).includes('--exit-file'));
});

test('the environment keeps what is the job’s and drops what is the node’s', (t) => {
  const env = containerEnvironment({
    image: ['PATH=/opt/mpi/bin:/bin', 'OMPI_MCA_btl=image'],
    job: {
      PATH: '/usr/bin',
      SLURM_JOB_ID: '42',
      LD_PRELOAD: 'x',
      OMP_NUM_THREADS: '2',
      OMPI_MCA_coll: '^han',
      PMIX_RANK: '0',
    },
    user: 'alice',
    home: '/home/alice',
    jobId: 42,
    mpi: mpiEnvironment({ mpi: 'openmpi', hosts, oversubscribed: true }),
  });
  t.like(env, {
    PATH: '/opt/mpi/bin:/bin',
    OMP_NUM_THREADS: '2',
    OMPI_MCA_coll: '^han',
    OMPI_MCA_btl: 'tcp,self,sm',
    OMPI_MCA_mpi_yield_when_idle: '1',
    PRTE_MCA_plm_ssh_agent: '/.rankshift/rsh',
  });
  for (const name of ['SLURM_JOB_ID', 'LD_PRELOAD', 'PMIX_RANK']) t.false(name in env);
});

asRoot('the upper directory holds our files, the names and the user; the image’s users stay', async (t) => {
  const directory = await scratch(t);
  const binDir = join(directory, 'bin');
  const [top, middle, bottom] = [join(directory, '1'), join(directory, '2'), join(directory, '3')];
  await mkdir(binDir);
  await writeFile(join(binDir, 'rankshift-init'), 'program');
  await writeFile(join(binDir, 'rankshift-mpi.so'), 'library');
  for (const layer of [top, middle, bottom]) await mkdir(join(layer, 'etc'), { recursive: true });
  await writeFile(join(bottom, 'etc/passwd'), 'root:x:0:0::/:/bin/sh');
  await run('mknod', [join(middle, 'etc/group'), 'c', '0', '0']);
  await writeFile(join(bottom, 'etc/group'), 'hidden:x:4322:');
  await symlink('/etc/shadow', join(top, 'etc/shells'));
  const config = parseConfig(`BinDir=${binDir}\nStateDir=${directory}`, 'test');
  const containerDir = join(directory, 'container');
  const prepare = () => prepareUpper(config, spec, { containerDir, layers: [top, middle, bottom] });
  await prepare();
  await writeFile(join(containerDir, 'upper/.rankshift/exit'), '3\n');
  await prepare();
  t.is(await readExit(containerDir), null, 'nothing is left of an earlier run');
  await mountRootfs({ layers: [top, middle, bottom], containerDir });
  t.teardown(() => unmountRootfs(containerDir));
  const rootfs = rootfsPath(containerDir);
  const read = (path: string) => readFile(join(rootfs, path), 'utf8');
  t.is(await read('etc/passwd'), 'root:x:0:0::/:/bin/sh\nalice:x:4321:4322::/home/alice:/bin/sh\n');
  t.is(await read('etc/group'), 'root:x:0:\nalice:x:4322:\n');
  t.is(await read('etc/hosts'), '127.0.0.1 localhost\n10.201.0.1 c0\n10.201.0.2 c1\n');
  t.is(await read('etc/resolv.conf'), '');
  t.is(await read('.rankshift/hostfile'), 'c0 slots=1\nc1 slots=2\n');
  const owner = async (path: string) => {
    const { mode, uid, gid } = await lstat(join(rootfs, path));
    return [(mode & 0o7777).toString(8), uid, gid];
  };
  t.deepEqual(await owner('.rankshift/secret'), ['400', 4321, 4322]);
  t.deepEqual(await owner('.rankshift'), ['755', 4321, 4322]);
  t.deepEqual(await owner('.rankshift/init'), ['755', 0, 0]);
  t.deepEqual(await owner('tmp'), ['1777', 0, 0]);
  t.deepEqual(await owner('.'), ['755', 0, 0]);
  t.is((await lstat(join(rootfs, '.rankshift/rsh'))).ino, (await lstat(join(rootfs, '.rankshift/init'))).ino);
  const busy = await t.throwsAsync(prepare(), { instanceOf: RankshiftError });
  t.is(busy?.code, 'E_BUSY');
});

asRoot('a root file system of two hundred layers mounts, twice is once, and goes although it is in use', async (t) => {
  const directory = await scratch(t);
  const layers: string[] = [];
  for (let index = 0; index < 200; index++) {
    const layer = join(directory, 'a directory: with, odd\\characters', 'x'.repeat(60), String(index));
    await mkdir(layer, { recursive: true });
    await writeFile(join(layer, 'top'), String(index));
    await writeFile(join(layer, `file-${index}`), '');
    layers.push(layer);
  }
  const containerDir = join(directory, 'con tainer');
  await mountRootfs({ layers, containerDir });
  await mountRootfs({ layers, containerDir });
  const rootfs = rootfsPath(containerDir);
  t.is(await readFile(join(rootfs, 'top'), 'utf8'), '0');
  t.is((await readdir(rootfs)).length, 201);
  const user = spawn('sleep', ['60'], { cwd: rootfs, stdio: 'ignore' });
  await once(user, 'spawn');
  await unmountRootfs(containerDir);
  t.false(await isMounted(rootfs));
  await unmountRootfs(containerDir);
  user.kill('SIGKILL');
  await once(user, 'close');
  await t.throwsAsync(mountRootfs({ layers: ['relative'], containerDir }), { instanceOf: RankshiftError });
});

test('output and exit code are read from regular files only', async (t) => {
  const containerDir = await scratch(t);
  const own = join(containerDir, 'upper/.rankshift');
  t.is((await readOutput(containerDir, 'stdout', 0, 10)).length, 0);
  await mkdir(own, { recursive: true });
  await writeFile(join(own, 'stdout'), 'hello world');
  t.is((await readOutput(containerDir, 'stdout', 6, 3)).toString(), 'wor');
  t.is((await readOutput(containerDir, 'stdout', 99, 3)).length, 0);
  const outside = join(containerDir, 'secret-of-root');
  await writeFile(outside, '7\n');
  await symlink(outside, join(own, 'stderr'));
  t.is((await readOutput(containerDir, 'stderr', 0, 10)).length, 0);
  t.is(await readExit(containerDir), null);
  await symlink(outside, join(own, 'exit'));
  t.is(await readExit(containerDir), null);
  await rm(join(own, 'exit'));
  await run('mkfifo', [join(own, 'exit')]);
  t.is(await readExit(containerDir), null);
  await rm(join(own, 'exit'));
  await writeFile(join(own, 'exit'), '137\n');
  t.is(await readExit(containerDir), 137);
  await rm(own, { recursive: true });
  await mkdir(join(containerDir, 'elsewhere'));
  await writeFile(join(containerDir, 'elsewhere/exit'), '1\n');
  await symlink(join(containerDir, 'elsewhere'), own);
  t.is(await readExit(containerDir), null);
});

test('shared directories come with the mounts below them, and never through a link', async (t) => {
  const directory = await scratch(t);
  await mkdir(join(directory, 'home'));
  await symlink(join(directory, 'home'), join(directory, 'link'));
  const line = (path: string, type: string) => `1 2 0:1 / ${path} rw - ${type} source rw\n`;
  const home = join(directory, 'home');
  const mountinfo =
    line(`${home}/bob`, 'nfs4') +
    line(`${home}/a\\040b`, 'nfs4') +
    line(`${home}/auto`, 'autofs') +
    line(`${home}x`, 'nfs4');
  t.deepEqual(await resolveSharedPaths([home, join(directory, 'absent')], mountinfo), [
    home,
    `${home}/a b`,
    `${home}/bob`,
  ]);
  for (const bad of ['/', '/etc', '/usr/lib', '/proc/1', 'home', `${home}/../home`, join(directory, 'link')]) {
    const error = await t.throwsAsync(resolveSharedPaths([bad], ''), { instanceOf: RankshiftError }, bad);
    t.is(error?.code, 'E_CONFIG');
  }
});

asRoot('an image on which a container stands is in use', async (t) => {
  const directory = await scratch(t);
  const config = parseConfig(`StateDir=${directory}\nImageStore=${directory}/images`, 'test');
  const digests = ['a', 'b'].map((digit) => `sha256:${digit.repeat(64)}`);
  await createStore(config.imageStore);
  for (const digest of digests) await mkdir(layerPath(config.imageStore, digest));
  await registerLayers(config.imageStore, 'both', digests, { env: [] });
  await registerLayers(config.imageStore, 'one', digests.slice(0, 1), { env: [] });
  t.deepEqual(await imagesInUse(config), []);
  const containerDir = join(directory, 'containers/1.0');
  await mountRootfs({ layers: digests.map((digest) => layerPath(config.imageStore, digest)).reverse(), containerDir });
  t.teardown(() => unmountRootfs(containerDir));
  t.deepEqual(await imagesInUse(config), ['both']);
});

/** The machine's cgroup2, wherever it lies; undefined without one. */
async function cgroupRoot(): Promise<string | undefined> {
  return root ? containerCgroup(process.pid).catch(() => undefined) : undefined;
}

test('a cgroup freezes, thaws and is killed while it is frozen', async (t) => {
  const parent = await cgroupRoot();
  if (parent === undefined) return t.pass('no cgroup2 here');
  const cgroup = join(parent, `rankshift-test-${process.pid}`);
  await mkdir(cgroup);
  t.teardown(() => rmdir(cgroup));
  const child = spawn('sh', ['-c', 'sleep 60 & wait'], { stdio: 'ignore' });
  const closed = once(child, 'close');
  await writeFile(join(cgroup, 'cgroup.procs'), String(child.pid));
  t.is(await containerCgroup(child.pid ?? 0), cgroup);
  t.true((await processesOf(cgroup)).includes(child.pid ?? 0));
  await freeze(cgroup);
  t.true(await isFrozen(cgroup));
  await thaw(cgroup);
  t.false(await isFrozen(cgroup));
  await freeze(cgroup);
  await killCgroup(cgroup);
  await closed;
  t.deepEqual(await processesOf(cgroup), []);
  await killCgroup(join(parent, 'rankshift-test-absent'));
  const absent = await t.throwsAsync(freeze(join(parent, 'rankshift-test-absent')), { instanceOf: RankshiftError });
  t.is(absent?.code, 'E_MISSING');
});
