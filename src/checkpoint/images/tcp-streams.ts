import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { formatAddress } from './address.ts';
import { readImage } from './image-file.ts';

/** An established TCP connection in the images, seen from the container. */
export interface TcpStream {
  localIp: string;
  localPort: number;
  remoteIp: string;
  remotePort: number;
  /** The first byte that the peer has sent or will send and that was not acknowledged: the peer's SND.UNA. */
  peerSndUna: number;
  /** Bytes received and not yet read by the program. */
  inBytes: number;
  /** Bytes written by the program and not acknowledged by the peer; unsentBytes of them were never sent. */
  outBytes: number;
  unsentBytes: number;
}

/** enum fd_types of fdinfo.proto. */
const inetSocket = 4;
const tcpProtocol = 6;
const families = { 2: 4, 10: 6 } as const;

const port = z.number().int().min(0).max(65535);
const fileSchema = z.object({
  type: z.number(),
  isk: z
    .object({
      ino: z.number(),
      family: z.number(),
      proto: z.number(),
      ...{ src_port: port, dst_port: port, src_addr: z.array(z.number()), dst_addr: z.array(z.number()) },
    })
    .optional(),
});
const streamSchema = z.object({
  ...{ inq_len: z.number(), inq_seq: z.number(), outq_len: z.number(), outq_seq: z.number() },
  unsq_len: z.number().default(0),
});

/**
 * All TCP connections in an image directory: the sockets of files.img, each with its tcp-stream-<inode in hex>.img.
 * Listening and unconnected sockets have none. IPv4 inside IPv6 sockets is given as IPv4.
 * @throws RankshiftError E_CRIU where an image is absent or malformed.
 */
export async function readTcpStreams(imageDir: string): Promise<TcpStream[]> {
  const files = await readImage(join(imageDir, 'files.img'), 'files');
  const streams = await Promise.all(
    files.map(async (entry) => {
      const { type, isk } = fileSchema.parse(entry);
      if (type !== inetSocket || isk === undefined || isk.proto !== tcpProtocol || isk.dst_port === 0) return [];
      const version = isk.family === 2 || isk.family === 10 ? families[isk.family] : undefined;
      const file = join(imageDir, `tcp-stream-${isk.ino.toString(16)}.img`);
      if (version === undefined || !existsSync(file)) return [];
      const [message] = await readImage(file, 'tcpStream', { entries: 1 });
      const stream = streamSchema.parse(message);
      return [
        {
          localIp: formatAddress(isk.src_addr, version),
          localPort: isk.src_port,
          remoteIp: formatAddress(isk.dst_addr, version),
          remotePort: isk.dst_port,
          peerSndUna: stream.inq_seq,
          inBytes: stream.inq_len,
          outBytes: stream.outq_len,
          unsentBytes: stream.unsq_len,
        },
      ];
    }),
  );
  return streams.flat();
}

/**
 * The connections whose peers are to be woken, one line `LOCAL_IP LOCAL_PORT REMOTE_IP REMOTE_PORT SEQ` each, for
 * `rankshift-node wake`. Left out: connections inside the container (both ends were stopped), and IPv6, which the overlay
 * does not carry.
 * @throws RankshiftError E_CRIU
 */
export async function wakeList(imageDir: string): Promise<string> {
  const streams = await readTcpStreams(imageDir);
  const own = new Set(streams.map(({ localIp }) => localIp));
  return streams
    .filter(({ remoteIp }) => !own.has(remoteIp) && !remoteIp.startsWith('127.') && !remoteIp.includes(':'))
    .map((stream) => `${wakeWords(stream).join(' ')}\n`)
    .join('');
}

const wakeWords = ({ localIp, localPort, remoteIp, remotePort, peerSndUna }: TcpStream) => [
  ...[localIp, localPort, remoteIp, remotePort, peerSndUna],
];
