/** What a peer's numbers depend on besides the format of its weights: two of a kind agree best. `kv` absent: f32. */
export function kindOf({ backend, kv }: { backend: string; kv?: string }): string {
  return `${backend} ${kv ?? 'f32'}`
}
