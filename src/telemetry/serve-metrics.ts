import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectDefaultMetrics, type Registry } from 'prom-client';
import type { Logger } from './logger.ts';

/** A few Prometheus servers ask, and nobody else has to. */
const mostConnections = 32;
/** The event loop's delay is sampled this often: at the library's 10 ms an idle daemon would wake up a hundred times a second. */
const samplingMs = 1000;

export interface MetricsOptions {
  host: string;
  /** 0: not served. */
  port: number;
  registry: Registry;
  log: Logger;
}

/**
 * Serves `/metrics` for Prometheus, over plain HTTP as node_exporter does: counts and times, nothing secret. A port that
 * cannot be had is no reason not to work.
 */
export async function serveMetrics({ host, port, registry, log }: MetricsOptions) {
  if (port === 0) return { port: 0, close: async () => undefined };
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: samplingMs });
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://metrics');
    if (pathname !== '/metrics' || request.method !== 'GET') {
      response.writeHead(pathname === '/metrics' ? 405 : 404).end('the metrics are at /metrics\n');
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: Error) => {
        log.warn({ error: error.message }, 'metrics');
        response.writeHead(503).end();
      },
    );
  });
  server.maxConnections = mostConnections;
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    log.error({ port, error: (error as Error).message }, 'metrics are not served');
    return { port: 0, close: async () => undefined };
  }
  server.on('error', (error) => log.warn({ error: error.message }, 'metrics'));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
