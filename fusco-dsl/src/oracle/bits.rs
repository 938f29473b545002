//! A list of yes and no, a bit each.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

const WORD: usize = u64::BITS as usize;

impl Bits {
    pub fn new(len: usize, value: bool) -> Bits {
        let mut bits = Bits { words: vec![0; len.div_ceil(WORD)], len };
        if value {
            bits.set(0, len);
        }
        bits
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `false` outside.
    pub fn get(&self, i: usize) -> bool {
        i < self.len && self.words[i / WORD] >> (i % WORD) & 1 == 1
    }

    pub fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.len).map(|i| self.get(i))
    }

    /// Makes `n` from `first` on true; `false` if some of them are outside.
    pub fn set(&mut self, first: usize, n: usize) -> bool {
        let Some(end) = first.checked_add(n).filter(|end| *end <= self.len) else { return false };
        let mut at = first;
        while at < end {
            let (word, low) = (at / WORD, at % WORD);
            let high = (end - word * WORD).min(WORD);
            self.words[word] |= (u64::MAX >> (WORD - (high - low))) << low;
            at = word * WORD + high;
        }
        true
    }

    /// The runs that are false: first and how many.
    pub fn gaps(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = self.next(at, false)?;
            at = self.next(first, true).unwrap_or(self.len);
            Some((first, at - first))
        })
    }

    /// The first from `at` on that is so.
    fn next(&self, at: usize, value: bool) -> Option<usize> {
        let flip = if value { 0 } else { u64::MAX };
        let mut word = at / WORD;
        let mut found = self.words.get(word)? ^ flip;
        found &= u64::MAX << (at % WORD);
        while found == 0 {
            word += 1;
            found = self.words.get(word)? ^ flip;
        }
        Some(word * WORD + found.trailing_zeros() as usize).filter(|i| *i < self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn runs_of_any_length_are_set_and_their_gaps_found() {
        for len in [0, 1, 63, 64, 65, 200] {
            for first in 0..=len {
                for n in 0..=len - first {
                    let mut bits = Bits::new(len, false);
                    assert!(bits.set(first, n) && !bits.set(first, len - first + 1));
                    let wanted: Vec<bool> =
                        (0..len).map(|i| (first..first + n).contains(&i)).collect();
                    assert_eq!(bits.iter().collect::<Vec<_>>(), wanted);
                    let gaps: Vec<usize> = bits.gaps().flat_map(|(at, n)| at..at + n).collect();
                    let outside = (0..len).filter(|i| !wanted[*i]);
                    assert_eq!(gaps, outside.collect::<Vec<_>>());
                    assert!(n == 0 || bits.gaps().count() <= 2);
                }
            }
            assert!(Bits::new(len, true).iter().all(|b| b));
        }
    }
}
