/**
 * Byte-level BPE in the two files that it used to come in, as one `tokenizer.json`.
 *
 * @source `transformers`, `convert_slow_tokenizer.GPT2Converter`
 * @since 0.1.0
 */

/** The text of a `tokenizer.json`; `vocabulary` is the text of `vocab.json`, `merges` that of `merges.txt`. */
export const bytePairTokenizer = (vocabulary: string, merges: string, endOfText: string): string => {
  const vocab = JSON.parse(vocabulary) as Readonly<Record<string, number>>
  const id = vocab[endOfText]
  if (id === undefined) throw new Error(`vocab.json has no ${endOfText}`)
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true }
  return JSON.stringify({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ id, content: endOfText, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: merges.split("\n").filter((line) => line !== "" && !line.startsWith("#version"))
    }
  })
}
