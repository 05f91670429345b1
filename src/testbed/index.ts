/** The testbed as a library: what tests, benchmarks and the CLI may use. */
export { type BringUpOptions, bringUp } from './bring-up.ts';
export { type ExecOptions, enterArgv, execOnTerminal } from './exec.ts';
export { ensureImages } from './images/ensure-images.ts';
export { cutLink, healLink, limitLink } from './link.ts';
export { isBuilt, type ServiceStatus, serviceStatus } from './services.ts';
export { listTestbeds, type NodeState, type Profile, profiles, type TestbedState } from './state.ts';
export { allStatus, type TestbedStatus, testbedStatus } from './status.ts';
export { takeDown } from './take-down.ts';
export { Testbed } from './testbed.ts';
