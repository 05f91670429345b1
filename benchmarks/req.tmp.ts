import { simulate } from './fleet/simulate.ts';
const common = { containersPerJob: 8, slower: 1, patience: 1, movesAtOnce: 1000, rate: null as number|null, killAfter: null, restMs: 3000,
 nodes: 1000, containers: 10_000, leaving: 300, deadlineMs: 600_000, by: 'moves' as const };
const say = (l: string) => console.error(l);
const show = (n: string, r: any) => console.log(n, JSON.stringify({mps: r.movesPerSecond, first: r.firstCommandMs, total: r.totalMs, c: r.controller, phases: r.phasesMs, redis: r.redis, agents: r.agents, unmoved: r.unmoved, wrong: r.wrong.length, err: r.errors}));
let rate = Number(process.argv[2] ?? 0);
if (rate === 0) { const r = await simulate(common, say); show('full', r); rate = r.movesPerSecond/2; }
const h = await simulate({ ...common, rate }, say); show('half@'+rate.toFixed(0), h);
process.exit(0);
