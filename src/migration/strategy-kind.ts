import type { Strategy } from './record.ts';

/** Whether memory goes in rounds while the ranks run. */
export const hasRounds = (strategy: Strategy) => strategy === 'pre-copy' || strategy === 'hybrid';

/** Whether pages may come after the commit, out of the frozen container on the source. */
export const mayLeavePages = (strategy: Strategy) => strategy === 'post-copy' || strategy === 'hybrid';
