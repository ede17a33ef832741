/** Encoded forms that live as long as what they were made from. */

/** What `memory` holds for the key, made when it holds nothing. */
export function remember<K extends object, V>(memory: WeakMap<K, V>, key: K, make: () => NoInfer<V>): V {
  const known = memory.get(key);
  if (known !== undefined) return known;
  const made = make();
  memory.set(key, made);
  return made;
}
