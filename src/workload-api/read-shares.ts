/** Shares the event loop between users by what is read of them: whoever asks too much is read more slowly. */

/** Calls that all connections of a user may begin, and connections that may end, in a turn of the event loop. */
const SHARE = 64;
/** Connections that are read again in a turn while their user keeps within its share. */
const MOST_RESUMED = 64;

/** A connection, as far as it is read. */
export interface Readable {
  readonly uid: number;
  pauseReading(): void;
  resumeReading(): void;
}

interface User<C> {
  readonly connections: Set<C>;
  /** In the order in which they will be read again. */
  readonly paused: Set<C>;
  /** Calls begun and connections ended in this turn. */
  begun: number;
  /** How many connections are read again in the user's next turn. */
  resumed: number;
}

/**
 * A connection that is ready is read for as long as it has something to say, and each call costs us a thousand times
 * what it costs the caller. So a user who begins more than its share of calls in a turn is not read until the others
 * were; then its connections come back a few at a time, more of them the less they ask.
 */
export class ReadShares<C extends Readable> {
  readonly #users = new Map<number, User<C>>();
  readonly #perConnection = new Map<C, number>();
  /** Users who began calls in this turn. */
  readonly #active = new Set<User<C>>();
  /** Users with paused connections; whose turn it is, is first. */
  readonly #throttled = new Set<User<C>>();
  readonly #mostPerConnection: number;
  #scheduled = false;

  /** A connection that begins `mostPerConnection` calls in a turn is none of a client's, who waits for answers. */
  constructor(mostPerConnection: number) {
    this.#mostPerConnection = mostPerConnection;
  }

  /** A connection has come in. */
  enter(connection: C): void {
    let user = this.#users.get(connection.uid);
    if (user === undefined) {
      user = { connections: new Set(), paused: new Set(), begun: 0, resumed: 1 };
      this.#users.set(connection.uid, user);
    }
    user.connections.add(connection);
  }

  /** It has gone. */
  leave(connection: C): void {
    const user = this.#users.get(connection.uid);
    if (user === undefined) return;
    user.connections.delete(connection);
    user.paused.delete(connection);
    this.#perConnection.delete(connection);
    if (user.connections.size === 0) this.#users.delete(connection.uid);
  }

  /** A call begins on the connection. False when the connection is to be cut. */
  begin(connection: C): boolean {
    const user = this.#users.get(connection.uid);
    if (user === undefined) return true;
    const count = (this.#perConnection.get(connection) ?? 0) + 1;
    this.#perConnection.set(connection, count);
    this.#count(user);
    return count < this.#mostPerConnection;
  }

  /** It was read that the caller has gone, which is as dear as a call: the system tells of thousands in one turn. */
  ending(connection: C): void {
    const user = this.#users.get(connection.uid);
    if (user !== undefined) this.#count(user);
  }

  #count(user: User<C>): void {
    this.#schedule();
    this.#active.add(user);
    if (++user.begun === SHARE) this.#throttle(user);
  }

  #throttle(user: User<C>): void {
    user.resumed = 1;
    for (const connection of user.connections) {
      if (user.paused.has(connection)) continue;
      connection.pauseReading();
      user.paused.add(connection);
    }
    this.#throttled.add(user);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    for (const user of this.#active) user.begun = 0;
    this.#active.clear();
    this.#perConnection.clear();
    const [next] = this.#throttled;
    if (next === undefined) return;
    this.#throttled.delete(next);
    this.#resume(next);
    if (next.paused.size > 0) this.#throttled.add(next);
    if (this.#throttled.size > 0) this.#schedule();
  };

  #resume(user: User<C>): void {
    let left = user.resumed;
    for (const connection of user.paused) {
      if (left-- === 0) break;
      user.paused.delete(connection);
      connection.resumeReading();
    }
    user.resumed = Math.min(MOST_RESUMED, user.resumed * 2);
  }
}
