/** How the next recordings are transcribed; remembered by the browser. */

import { recall, remember } from "./storage";
import { Store } from "./store";
import type { Choices } from "./uploads";

const DEFAULTS: Choices = {
  language: "",
  task: "transcribe",
  model: "",
  prompt: "",
  hotwords: "",
  multilingual: false,
  speakers: false,
  channels: "",
  channelNames: "",
  keepAudio: true,
  urgent: false,
};

function stored(): Choices {
  try {
    const known = JSON.parse(recall("choices") ?? "{}") as Partial<Choices>;
    const entries = Object.entries(DEFAULTS).map(([name, value]) => {
      const kept = known[name as keyof Choices];
      return [name, typeof kept === typeof value ? kept : value];
    });
    return Object.fromEntries(entries) as Choices;
  } catch {
    return DEFAULTS;
  }
}

export const choices = new Store<Choices>(stored());

choices.subscribe(() => remember("choices", JSON.stringify(choices.get())));
