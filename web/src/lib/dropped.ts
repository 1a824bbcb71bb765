/** The recordings among what was dropped, picked or pasted, folders included. */

const MEDIA = /\.(3gp|aac|ac3|aiff?|amr|ape|au|avi|caf|flac|g722|gsm|m2ts|m4a|m4b|m4v|mka|mkv|mov|mp2|mp3|mp4|mpe?g|mpga|mts|mxf|oga|ogg|ogv|opus|ra|ts|tta|vob|voc|w64|wav|weba|webm|wma|wmv|wv)$/i;

export interface Found {
  recordings: File[];
  /** Names of files that are no recordings by their name and type. */
  others: string[];
}

export function isRecording(file: File): boolean {
  return /^(audio|video)\//.test(file.type) || MEDIA.test(file.name);
}

/** A file that was chosen alone is taken whatever its name is: the server knows better. */
export function sorted(files: readonly File[], certain: boolean): Found {
  const visible = files.filter((file) => !file.name.startsWith("."));
  if (certain && visible.length === 1) return { recordings: visible, others: [] };
  return {
    recordings: visible.filter(isRecording),
    others: visible.filter((file) => !isRecording(file)).map((file) => file.name),
  };
}

export async function filesOf(data: DataTransfer): Promise<Found> {
  // The entries must be taken before the first wait: afterwards the list is empty.
  const entries = [...data.items].map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const folders = entries.some((entry) => entry?.isDirectory);
  if (!folders) return sorted([...data.files], true);
  const nested = await Promise.all(entries.map((entry) => (entry ? filesBelow(entry) : [])));
  return sorted(nested.flat(), false);
}

async function filesBelow(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // It gives a part of the folder at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return files;
    for (const inner of some) files.push(...(await filesBelow(inner)));
  }
}

export function urlOf(text: string): URL | undefined {
  try {
    const url = new URL(text.trim());
    return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
  } catch {
    return undefined;
  }
}
