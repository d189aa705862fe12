/**
 * The pages of `libreoffice-help-*`: paragraphs and headings have the same id in every language.
 */
import { oneLine } from "./text.ts"

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'", nbsp: " " }

const unescaped = (text: string): string =>
  text.replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/giu, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return named[name] ?? whole
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
  })

/** The texts of a page by the id of their paragraph; those that differ with the reader's system are left out. */
export const paragraphs = (html: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  for (const [, , id, inner] of html.matchAll(/<(p|h[1-6])\s+id="([^"]+)"[^>]*>([\s\S]*?)<\/\1>/gu)) {
    const text = oneLine(unescaped(inner!.replaceAll(/<[^>]*>/gu, "")))
    if (text !== "" && !inner!.includes("switchinline") && !found.has(id!)) found.set(id!, text)
  }
  return found
}

/** Texts that two languages' versions of a page have under one id. */
export const alignPages = (source: string, target: string): ReadonlyArray<readonly [source: string, target: string]> => {
  const to = paragraphs(target)
  return Array.from(paragraphs(source)).flatMap(([id, text]) => to.has(id) ? [[text, to.get(id)!] as const] : [])
}
