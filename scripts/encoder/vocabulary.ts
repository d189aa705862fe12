/**
 * A smaller vocabulary: the pieces of T5's that a text needs.
 *
 * A network chooses each token from all pieces, so most of a small network's numbers and much of its work are pieces that
 * its texts never use. A unigram vocabulary stays one when pieces are left out: what was spelt with them is spelt with
 * others.
 */

/** The parts of a Hugging Face `tokenizer.json` that matter here. */
export interface UnigramVocabulary {
  readonly added_tokens: ReadonlyArray<{ readonly id: number; readonly content: string }>
  readonly model: { readonly type: string; readonly unk_id: number; readonly vocab: ReadonlyArray<readonly [piece: string, score: number]> }
}

/** Tokens that keep their place: padding, end of a text, unknown; and the one that hides others, which comes last. */
const first = ["<pad>", "</s>", "<unk>"]
const hiddenToken = "<extra_id_0>"

const isSingle = (piece: string): boolean => Array.from(piece).length === 1

/**
 * `vocabulary` cut to `size` pieces: padding, end of a text, unknown and the hiding token, all single characters, so that
 * nothing which could be spelt becomes unknown, and of the rest those that `counts` (by id) says are used most. Pieces keep
 * their order and score.
 */
export const prune = <V extends UnigramVocabulary>(vocabulary: V, counts: ArrayLike<number>, size: number): V => {
  const special = new Set(vocabulary.added_tokens.map(({ id }) => id))
  const pieces = vocabulary.model.vocab.map(([piece], id) => ({ piece, id })).filter(({ id, piece }) => !special.has(id) || first.includes(piece))
  const always = pieces.filter(({ piece }) => first.includes(piece) || isSingle(piece)).map(({ id }) => id)
  const others = pieces.map(({ id }) => id).filter((id) => !always.includes(id)).sort((a, b) => counts[b]! - counts[a]! || a - b)
  const kept = [...always, ...others.slice(0, Math.max(0, size - always.length - 1))].sort((a, b) => a - b)
  const vocab = [...kept.map((id) => vocabulary.model.vocab[id]!), [hiddenToken, 0] as const]
  const ids = new Map(vocab.map(([piece], id) => [piece, id]))
  const added = vocabulary.added_tokens.filter(({ content }) => ids.has(content)).map((token) => ({ ...token, id: ids.get(token.content)! }))
  return { ...vocabulary, added_tokens: added, model: { ...vocabulary.model, vocab } }
}
