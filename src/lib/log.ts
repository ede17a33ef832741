/** The logger port and the field names that every line uses, spelt as SPIRE spells them. */

/** Values that a log field may hold. Never a key, token, payload or (unless allow-listed) selector. */
export type LogValue = string | number | boolean | bigint | readonly string[] | undefined;

/** Structured fields. Use SPIRE's names: `spiffe_id`, `entry_id`, `trust_domain_id`, `pid`, `caller_uid`, `method`, `status_code`, `expires_at`, `retry_interval`, `serial_num`, `error`. */
export type LogFields = Readonly<Record<string, LogValue>>;

/** Constant messages, data in fields. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
  /** A logger whose lines carry `subsystem_name`. */
  named(subsystem: string): Logger;
}

/** Says nothing: for tests and for callers that do not care. */
export const silentLogger: Logger = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  trace() {},
  named: () => silentLogger,
};
