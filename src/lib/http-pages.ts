/** A small HTTP listener for probes and metrics: fixed pages, GET only, bounded. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AgentError } from "./errors.ts";
import type { Logger } from "./log.ts";

/** What a page answers. */
export interface PageResult {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Makes a page at the moment it is asked for. */
export type Page = () => Promise<PageResult>;

/** Where to listen and what to serve. */
export interface HttpPagesOptions {
  /** Host name or IP address. */
  readonly host: string;
  /** TCP port; 0 for any free one. */
  readonly port: number;
  /** Pages by path. */
  readonly pages: ReadonlyMap<string, Page>;
  /** What this listener is for, as errors name it. */
  readonly purpose: string;
  readonly log: Logger;
}

const HEADERS_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 100;

/** Listens until it is closed. */
export class HttpPages implements AsyncDisposable {
  readonly #options: HttpPagesOptions;
  readonly #server: Server;

  constructor(options: HttpPagesOptions) {
    this.#options = options;
    // An import would read every export of the module, and one of them loads an HTTP client of 5 MB.
    const { createServer } = process.getBuiltinModule("node:http");
    this.#server = createServer(
      { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: HEADERS_TIMEOUT_MS },
      (request, response) => {
        void this.#answer(request, response);
      },
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Starts to listen; resolves to the port. Throws `IN_USE` when the port is taken, `FAILED_PRECONDITION` when it cannot be had. */
  async listen(): Promise<number> {
    const { host, port, purpose } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => {
        const where = `${purpose}: ${host}:${port}`;
        reject(
          error.code === "EADDRINUSE"
            ? new AgentError("IN_USE", `${where} is in use by another process`)
            : new AgentError("FAILED_PRECONDITION", `${where} cannot be listened on (${error.code ?? error.message})`, {
                cause: error,
              }),
        );
      });
      this.#server.listen({ host, port }, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const result = await this.#page(request);
      response
        .writeHead(result.status, { "content-type": result.contentType })
        .end(request.method === "HEAD" ? undefined : result.body);
    } catch (error) {
      this.#options.log.error("Failed to make a page", { error: String(error) });
      response.writeHead(500).end();
    }
  }

  async #page(request: IncomingMessage): Promise<PageResult> {
    if (request.method !== "GET" && request.method !== "HEAD") return plain(405, "method not allowed");
    const page = this.#options.pages.get((request.url ?? "").split("?", 1)[0] ?? "");
    return page === undefined ? plain(404, "not found") : page();
  }
}

function plain(status: number, text: string): PageResult {
  return { status, contentType: "text/plain; charset=utf-8", body: `${text}\n` };
}
