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
export const hiddenToken = "<extra_id_0>"

const isSingle = (piece: string): boolean => Array.from(piece).length === 1

/**
 * `vocabulary` with the pieces that `counts` (by id) says are used at least `least` times, and all single characters that
 * are used at all, so that nothing which could be spelt becomes unknown. Pieces keep their order and score.
 */
export const prune = <V extends UnigramVocabulary>(vocabulary: V, counts: ArrayLike<number>, least: number): V => {
  const kept = vocabulary.model.vocab.filter(([piece], id) => {
    if (first.includes(piece)) return true
    if (vocabulary.added_tokens.some((token) => token.id === id)) return false
    return counts[id]! >= least || isSingle(piece)
  })
  const vocab = [...kept, [hiddenToken, 0] as const]
  const ids = new Map(vocab.map(([piece], id) => [piece, id]))
  const added = vocabulary.added_tokens.filter(({ content }) => ids.has(content)).map((token) => ({ ...token, id: ids.get(token.content)! }))
  return { ...vocabulary, added_tokens: added, model: { ...vocabulary.model, vocab } }
}
