import { run } from '../process/run.ts';

/**
 * Removes the nftables tables that an interrupted CRIU left in a container's network namespace (`table inet CRIU-<pid>`),
 * without which nothing would pass any more. With --leave-running CRIU removes them itself when it ends normally.
 */
export async function removeCriuLock(netns: string): Promise<void> {
  const inside = ['netns', 'exec', netns, '/usr/sbin/nft'];
  const { stdout } = await run('ip', [...inside, 'list', 'tables'], { allow: 'any' });
  for (const [, family, name] of stdout.matchAll(/^table (\w+) (CRIU-\d+)$/gm)) {
    await run('ip', [...inside, 'delete', 'table', family ?? '', name ?? ''], { allow: 'any' });
  }
}
