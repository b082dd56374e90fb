/** The language that is chosen, and its words; remembered by this browser. */

import { type Language, preferredLanguage, WORDS, type Words } from "./words";

const KEY = "atelier.language";

class Speech {
  #current = $state<Language>(remembered() ?? preferredLanguage(navigator.languages));

  get current(): Language {
    return this.#current;
  }

  set current(language: Language) {
    this.#current = language;
    document.documentElement.lang = language;
    try {
      localStorage.setItem(KEY, language);
    } catch {
      // A browser that keeps nothing: the choice lasts as long as the page.
    }
  }

  get words(): Words {
    return WORDS[this.#current];
  }
}

function remembered(): Language | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "en" || kept === "zh" ? kept : null;
  } catch {
    return null;
  }
}

export const speech = new Speech();
