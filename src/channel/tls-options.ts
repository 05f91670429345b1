import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { Credentials } from './credentials.ts';

/** Names the protocol in the TLS handshake (RFC 7301): ends that speak another version do not connect. */
export const protocol = 'rankshift/1';

/** Bytes in flight between a writer and the kernel: enough to keep the cipher busy while the next chunk is read. */
export const socketBufferBytes = 1024 * 1024;

/** What both ends of a channel ask of TLS: version 1.3, both certificates from the cluster's CA, no resumption. */
export function tlsOptions({ ca, certificate, key }: Credentials): SecureContextOptions {
  return {
    ca,
    cert: certificate,
    key,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // One cipher, so that both ends agree on the speed. With AES instructions the AES-GCM ciphers carry more than
    // ChaCha20; AES-128 and AES-256 could not be told apart end to end, and 128 bits are ample.
    ciphers: 'TLS_AES_128_GCM_SHA256',
    // A resumed session would skip the look at the certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * What both ends ask of TCP. Not half-open: that is allowed once the peer is known (Link), since a stranger's half-closed
 * connection would otherwise stay for ever; TLS servers of Node do not drop it at their handshakeTimeout.
 */
export const tcpOptions = {
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 1000,
  highWaterMark: socketBufferBytes,
} as const;
