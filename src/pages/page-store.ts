import { Carrier } from '../bulk/carrier.ts';
import { patiently } from '../patience.ts';

const startMs = patiently(10_000);
/** Of a whole move. */
const longestMs = 24 * 3_600_000;

export interface PageStoreOptions {
  /** The program rankshift-pages. */
  pages: string;
  /** This node's IPv4 address, ports to try, and the address of the source. */
  address: string;
  ports: readonly [number, number];
  source: string;
  key: string;
  /** An empty directory on a memory file system. */
  dir: string;
}

export interface PageStore {
  port: number;
  /** Resolves when there is room for what the source announced; never where it announces nothing. */
  reserved: Promise<void>;
  /** Resolves when the final round has arrived whole. Rejects with E_LINK. */
  done: Promise<void>;
  drop(): void;
}

/** Takes what a PageSource sends into files by address: `rankshift-pages store` (docs/pages.md). */
export async function startPageStore(options: PageStoreOptions): Promise<PageStore> {
  const { pages, address, ports, source, key, dir } = options;
  const carrier = new Carrier(pages, ['store', dir, address, ...ports.map(String), source], key);
  const port = await carrier.number(startMs);
  const reserved = carrier.line(longestMs).then(() => undefined);
  reserved.catch(() => undefined);
  return { port, reserved, done: carrier.ended, drop: () => carrier.drop() };
}
