/** Shares one call in progress among all who ask for the same key. */

/** Callers with an equal key while a call runs get its outcome; nothing is kept afterwards. */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Promise<V>>();

  /** Runs `work`, or joins the run in progress for `key`. */
  do(key: K, work: () => Promise<V>): Promise<V> {
    const running = this.#flights.get(key);
    if (running !== undefined) return running;
    const flight = (async () => {
      try {
        return await work();
      } finally {
        this.#flights.delete(key);
      }
    })();
    this.#flights.set(key, flight);
    return flight;
  }
}
