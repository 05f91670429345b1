import type { z } from 'zod';
import { RankshiftError } from '../errors.ts';

/** Version of the shape of all answers; the CLI's --json shows it. */
export const apiSchema = 1;

export interface Identity {
  uid: number;
  gid: number;
}

export interface ApiRequest<Body, Query> {
  /** Who asks, as munge vouches. */
  identity: Identity;
  /** The path's `:name` parts. */
  params: Readonly<Record<string, string>>;
  body: Body;
  query: Query;
  /** Aborts when the client goes away. */
  signal: AbortSignal;
}

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  /** For example `/v1/migrations/:id`. */
  path: string;
  handle(request: ApiRequest<unknown, unknown>): Promise<unknown> | AsyncIterable<unknown>;
}

interface RouteDefinition<Body extends z.ZodType, Query extends z.ZodType> {
  method: Route['method'];
  path: string;
  body?: Body;
  query?: Query;
  /** A value is answered as JSON, an async iterable as one JSON line per element. */
  handle(request: ApiRequest<z.output<Body>, z.output<Query>>): Promise<unknown> | AsyncIterable<unknown>;
}

/** Defines a route whose handler sees body and query as its schemas read them. Without a schema they are undefined. */
export function route<Body extends z.ZodType = z.ZodUndefined, Query extends z.ZodType = z.ZodUndefined>(
  definition: RouteDefinition<Body, Query>,
): Route {
  const { method, path, body, query } = definition;
  return {
    method,
    path,
    handle: (request) =>
      definition.handle({
        ...request,
        body: read(body, request.body, 'body') as z.output<Body>,
        query: read(query, request.query, 'query') as z.output<Query>,
      }),
  };
}

function read(schema: z.ZodType | undefined, value: unknown, what: string): unknown {
  if (schema === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = [what, ...(issue?.path ?? [])].join('.');
  throw new RankshiftError('E_BAD_INPUT', `${where}: ${issue?.message ?? 'not understood'}`);
}

export interface Match {
  route: Route;
  params: Record<string, string>;
}

/**
 * The route of a request.
 * @throws RankshiftError E_BAD_INPUT where there is none.
 */
export function findRoute(routes: readonly Route[], method: string, path: string): Match {
  const parts = path.split('/');
  for (const candidate of routes) {
    const params = candidate.method === method ? matchPath(candidate.path.split('/'), parts) : undefined;
    if (params !== undefined) return { route: candidate, params };
  }
  throw new RankshiftError('E_BAD_INPUT', `the controller knows no ${method} ${path}`, {
    action: 'Use a rankshift command of the same version as the controller.',
  });
}

/** The `:name` parts of a path that is like the pattern; undefined where it is not. */
export function matchPath(pattern: string[], parts: string[]): Record<string, string> | undefined {
  if (pattern.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const part = parts[index] ?? '';
    if (!expected.startsWith(':')) {
      if (expected !== part) return undefined;
      continue;
    }
    const value = decoded(part);
    if (value === undefined || value === '') return undefined;
    params[expected.slice(1)] = value;
  }
  return params;
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
