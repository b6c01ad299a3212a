/// A JavaScript `Date`: milliseconds since 1970 in UTC, or invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(Option<i64>);

/// ECMAScript's "time clip": 100,000,000 days on either side of 1970.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

impl Date {
    /// JavaScript's *Invalid Date*.
    pub const INVALID: Self = Self(None);

    /// The date of this many milliseconds since 1970-01-01T00:00:00Z; invalid beyond ±8.64·10¹⁵.
    pub fn from_millis(millis: i64) -> Self {
        Self(
            (-MAX_MILLIS..=MAX_MILLIS)
                .contains(&millis)
                .then_some(millis),
        )
    }

    /// Milliseconds since 1970, or `None` if the date is invalid.
    pub fn millis(self) -> Option<i64> {
        self.0
    }

    /// As `new Date(number)`: fractions are cut off.
    pub(crate) fn from_number(number: f64) -> Self {
        if number.is_finite() && number.abs() <= MAX_MILLIS as f64 {
            Self(Some(number.trunc() as i64))
        } else {
            Self::INVALID
        }
    }

    /// As `new Date(text)` for the ISO 8601 forms that ECMAScript defines, read as UTC where no
    /// zone is named.
    pub(crate) fn from_iso_string(text: &str) -> Self {
        parse_iso(text).map_or(Self::INVALID, Self::from_millis)
    }

    /// `toISOString()`, or `None` if the date is invalid.
    pub(crate) fn to_iso_string(self) -> Option<String> {
        let millis = self.0?;
        let (year, month, day) = civil_from_days(millis.div_euclid(MILLIS_PER_DAY));
        let rest = millis.rem_euclid(MILLIS_PER_DAY);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        let year = match year {
            0..=9999 => format!("{year:04}"),
            _ => format!("{year:+07}"),
        };
        Some(format!(
            "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        ))
    }
}

fn parse_iso(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00Z"));
    let (year, rest) = split_year(date)?;
    let mut parts = rest.split('-').skip(1);
    let month = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset) = split_zone(time)?;
    Some(days_from_civil(year, month, day) * MILLIS_PER_DAY + parse_clock(clock)? - offset)
}

/// Parts the year, of four digits or a sign and six, from what follows.
fn split_year(date: &str) -> Option<(i64, &str)> {
    let (sign, len) = match date.as_bytes().first()? {
        b'+' => (1, 6),
        b'-' => (-1, 6),
        _ => (1, 4),
    };
    let unsigned = date.strip_prefix(['+', '-']).unwrap_or(date);
    let (year, rest) = unsigned.split_at_checked(len)?;
    let year = sign * digits(year, len)?;
    let negative_zero = sign < 0 && year == 0;
    (!negative_zero && (rest.is_empty() || rest.starts_with('-'))).then_some((year, rest))
}

/// Parts `12:00:00+01:00` into the clock and the zone's offset in milliseconds.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else {
        return Some((time, 0));
    };
    let (hours, minutes) = time[at + 1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = (hours * 60 + minutes) * 60_000;
    Some((
        &time[..at],
        if time[at..].starts_with('-') {
            -offset
        } else {
            offset
        },
    ))
}

fn parse_clock(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let (second, milli) = match parts.next() {
        None => (0, 0),
        Some(seconds) => parse_seconds(seconds)?,
    };
    let midnight = hour == 24 && (minute, second, milli) == (0, 0, 0);
    let valid = (hour < 24 || midnight) && minute < 60 && second < 60 && parts.next().is_none();
    valid.then_some(((hour * 60 + minute) * 60 + second) * 1000 + milli)
}

fn parse_seconds(text: &str) -> Option<(i64, i64)> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return Some((digits(text, 2)?, 0));
    };
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milli = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some((digits(whole, 2)?, milli))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let valid = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

/// Days since 1970 of a Gregorian date, counting years from March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_strings_go_both_ways() {
        for (text, millis) in [
            ("2020-01-01T00:00:00.000Z", 1_577_836_800_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T12:30:01.050Z", 951_827_401_050),
        ] {
            assert_eq!(Date::from_iso_string(text).millis(), Some(millis));
            assert_eq!(
                Date::from_millis(millis).to_iso_string().as_deref(),
                Some(text)
            );
        }
        let far = Date::from_millis(MAX_MILLIS).to_iso_string();
        assert_eq!(far.as_deref(), Some("+275760-09-13T00:00:00.000Z"));
    }

    #[test]
    fn years_may_have_a_sign_and_six_digits() {
        for (text, millis) in [
            ("+012020-01-01", 317_147_356_800_000),
            ("-000001-01-01", -62_198_755_200_000),
            ("+275760-09-13T00:00:00.000Z", MAX_MILLIS),
            ("-271821-04-20", -MAX_MILLIS),
        ] {
            assert_eq!(Date::from_iso_string(text).millis(), Some(millis), "{text}");
        }
    }

    #[test]
    fn days_that_a_month_does_not_have_are_of_the_next() {
        let millis = |text| Date::from_iso_string(text).millis();
        assert_eq!(millis("2020-02-30"), millis("2020-03-01"));
        assert_eq!(millis("2020-01-01T24:00Z"), millis("2020-01-02"));
    }

    #[test]
    fn short_forms_and_zones_are_read() {
        assert_eq!(Date::from_iso_string("1970").millis(), Some(0));
        assert_eq!(
            Date::from_iso_string("1970-01-02").millis(),
            Some(MILLIS_PER_DAY)
        );
        assert_eq!(
            Date::from_iso_string("1970-01-01T01:00+01:00").millis(),
            Some(0)
        );
        assert_eq!(
            Date::from_iso_string("1970-01-01T00:00:00.5Z").millis(),
            Some(500)
        );
    }

    #[test]
    fn what_is_no_date_is_invalid() {
        for text in [
            "junk",
            "",
            "1970-13-01",
            "1970-01-01T25:00Z",
            "1970-01-01T24:01Z",
            "1970-01-01T10:00+24:00",
            "1970-01-01T10:00+01:60",
            "-000000-01-01",
            "++012020",
            "19700-01-01",
            "+01970",
            "+275760-09-14",
            "1970-01-01T00:00:0Z",
            "T",
            "é",
        ] {
            assert_eq!(Date::from_iso_string(text), Date::INVALID, "{text}");
        }
        assert_eq!(Date::from_number(f64::NAN), Date::INVALID);
        assert_eq!(Date::from_number(1.5).millis(), Some(1));
        assert_eq!(Date::from_millis(i64::MAX), Date::INVALID);
    }
}
