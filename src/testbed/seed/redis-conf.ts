/** redis.conf: every write durable before it is answered, nothing evicted, a password. */
export function redisConf(password: string): string {
  return [
    'bind 0.0.0.0',
    'port 6379',
    'daemonize no',
    'dir /var/lib/redis',
    'appendonly yes',
    'appendfsync always',
    'save ""',
    'maxmemory-policy noeviction',
    `requirepass ${password}`,
    '',
  ].join('\n');
}
