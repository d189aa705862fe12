export const compare = (folder: string): string => folder
