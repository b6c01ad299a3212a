//! Reading method arguments, with errors that say which one and what it should be.

use ddp_server::{Error, ejson::Value};
use launcher_core::{ImageName, Rights, SiteAddress, source::SourceMapSupport};
use url::Url;

use super::errors::bad_request;

/// Longest instance id that is looked up, in bytes.
const MAX_ID: usize = 100;
/// Longest name of an image that is looked up, in bytes.
const MAX_IMAGE_NAME: usize = 512;
/// Longest URL, in bytes.
pub(super) const MAX_URL: usize = 4_096;

/// Where a caller has the archive of a build.
pub(super) enum Archive {
    Url(Url),
    /// The upload's id.
    Upload(String),
}

/// The positional arguments of one call, the address at which its caller reaches the launcher, and
/// the caller's own.
pub(super) struct Arguments(Vec<Value>, String, Option<String>, Rights);

impl Arguments {
    pub(super) fn new(params: Vec<Value>) -> Self {
        Self(params, String::new(), None, Rights::default())
    }

    /// The same, of a caller who reaches the control port at this address.
    pub(super) fn reached_at(self, address: String) -> Self {
        Self(self.0, address, self.2, self.3)
    }

    /// The same, of a caller at this address.
    pub(super) fn called_from(self, peer: Option<String>) -> Self {
        Self(self.0, self.1, peer, self.3)
    }

    /// What the caller may ask for. There are no accounts: nobody is an administrator.
    pub(super) fn rights(&self) -> Rights {
        self.3
    }

    /// The caller's address, as far as it is known.
    pub(super) fn peer(&self) -> Option<&str> {
        self.2.as_deref()
    }

    /// A path of the control port as a URL, under the address at which the caller reaches it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.1)
    }

    /// What the call is about, for the log: an instance's id, or an image's name.
    pub(super) fn about(&self) -> String {
        let first = self.0.first();
        let text = first.and_then(|value| value.get("appImage").unwrap_or(value).as_str());
        text.unwrap_or_default()
            .chars()
            .take(MAX_ID)
            .flat_map(char::escape_debug)
            .collect()
    }

    /// The id of an instance.
    pub(super) fn instance_id(&self) -> Result<&str, Error> {
        self.id("instanceId", "the _id string of the app instance")
    }

    /// The id of a build.
    pub(super) fn build_id(&self) -> Result<&str, Error> {
        self.id("buildId", "the _id string of the build")
    }

    /// The id of an image, or its name.
    pub(super) fn image_id(&self) -> Result<&str, Error> {
        let what = "the _id string or the name of the docker image";
        let id = self.text(0, "imageId", what)?;
        if id.len() > MAX_IMAGE_NAME || id.chars().any(char::is_control) {
            return Err(must(0, "imageId", what));
        }
        Ok(id)
    }

    /// The id of a document, as the first argument.
    pub(super) fn id(&self, name: &str, what: &str) -> Result<&str, Error> {
        self.id_at(0, name, what)
    }

    /// The id of a document.
    pub(super) fn id_at(&self, index: usize, name: &str, what: &str) -> Result<&str, Error> {
        let id = self.text(index, name, what)?;
        if id.len() > MAX_ID || id.chars().any(char::is_control) {
            return Err(must(index, name, what));
        }
        Ok(id)
    }

    /// An argument as it is; `null` counts as left out.
    pub(super) fn value(&self, index: usize) -> Option<&Value> {
        self.0.get(index).filter(|value| !value.is_null())
    }

    /// An option in the options object at this position; `null` counts as left out, of the option as
    /// of the object. What is no object is refused: whoever passes it means something by it.
    pub(super) fn option(&self, index: usize, name: &str) -> Result<Option<&Value>, Error> {
        let Some(options) = self.value(index) else {
            return Ok(None);
        };
        if options.as_object().is_none() {
            let what = format!("an object with options, such as {{{name}: …}},");
            return Err(must(index, "options", &what));
        }
        Ok(options.get(name).filter(|value| !value.is_null()))
    }

    /// Which of an instance's replicas is meant, in the options object at this position.
    pub(super) fn replica(&self, index: usize) -> Result<Option<u32>, Error> {
        let Some(option) = self.option(index, "replica")? else {
            return Ok(None);
        };
        let what =
            "The replica option must be the number of one of the app instance's replicas, from 0.";
        let number = whole_number(option).ok_or_else(|| bad_request(what))?;
        Ok(Some(number))
    }

    /// What to build, and from what: `{name, url}` or `{name, upload}`.
    pub(super) fn build(&self) -> Result<(ImageName, Archive), Error> {
        let text = |name: &str| {
            let option = self.option(0, name)?;
            Ok::<_, Error>(option.map(|value| value.as_str().unwrap_or("")))
        };
        let name = text("name")?.filter(|name| !name.is_empty()).ok_or_else(|| {
            bad_request(
                "You must pass the name option set to the string name of the docker image to build.",
            )
        })?;
        let name = image_name("name option", name)?;
        let archive = match (text("url")?, text("upload")?) {
            (Some(url), None) => web_url(url).map(Archive::Url),
            (None, Some(id)) => Some(id)
                .filter(|id| !id.is_empty() && id.len() <= MAX_ID)
                .map(|id| Archive::Upload(id.to_owned())),
            _ => None,
        };
        let archive = archive.ok_or_else(|| {
            bad_request(
                "You must pass either the url option set to the http or https URL string of the \
                 archive to build the image from, or the upload option set to the uploadId string \
                 that image/createUpload returned.",
            )
        })?;
        Ok((name, archive))
    }

    /// Where a build takes `source-map-support` from, if the caller says so.
    pub(super) fn source_map_support(&self) -> Result<Option<SourceMapSupport>, Error> {
        let Some(option) = self.option(0, "sourceMapSupport")? else {
            return Ok(None);
        };
        let wanted = option.as_str().and_then(|text| text.parse().ok());
        wanted.map(Some).ok_or_else(|| {
            bad_request("The sourceMapSupport option must be \"auto\", \"registry\" or \"bundle\".")
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, index: usize, name: &str) -> Result<bool, Error> {
        let value = self.0.get(index).and_then(Value::as_bool);
        value.ok_or_else(|| must(index, name, "true or false"))
    }

    /// A hostname, all names below a domain, or a path there.
    pub(super) fn site(&self, index: usize) -> Result<SiteAddress, Error> {
        let text = self.text(
            index,
            "hostname",
            "the hostname string, such as \"app.example.com\"",
        )?;
        site(text)
    }

    pub(super) fn image_name(&self, index: usize) -> Result<ImageName, Error> {
        let what = "the string name of the docker image";
        image_name("imageName argument", self.text(index, "imageName", what)?)
    }

    /// The name of an image, as the first argument.
    pub(super) fn name(&self, what: &str) -> Result<ImageName, Error> {
        image_name("name argument", self.text(0, "name", what)?)
    }

    /// The address of an archive: http or https, with a host.
    pub(super) fn archive_url(&self, index: usize) -> Result<Url, Error> {
        let what = "the http or https URL string of the archive to build the image from";
        let text = self.text(index, "archiveUrl", what)?;
        web_url(text).ok_or_else(|| must(index, "archiveUrl", what))
    }

    /// The options object.
    pub(super) fn options(self) -> Result<Value, Error> {
        let first = self.0.into_iter().next();
        first
            .filter(|value| value.as_object().is_some())
            .ok_or_else(|| bad_request("You must pass an options object as the first argument."))
    }

    fn text(&self, index: usize, name: &str, what: &str) -> Result<&str, Error> {
        let text = self.0.get(index).and_then(Value::as_str);
        text.filter(|text| !text.trim().is_empty())
            .ok_or_else(|| must(index, name, what))
    }
}

/// A number of something, if it can be one.
pub(super) fn whole_number(value: &Value) -> Option<u32> {
    let number = value
        .as_f64()
        .filter(|n| n.fract() == 0.0 && (0.0..=1e9).contains(n))?;
    Some(number as u32)
}

pub(super) fn site(text: &str) -> Result<SiteAddress, Error> {
    SiteAddress::parse(text).map_err(|error| bad_request(format!("Invalid hostname: {error}.")))
}

/// The name of an image, in the argument or option that `place` names.
pub(super) fn image_name(place: &str, text: &str) -> Result<ImageName, Error> {
    ImageName::parse(text).map_err(|error| {
        bad_request(format!(
            "The {place} must be a docker image name, such as \"app\", \"team/app:1.0\" or \
             \"registry.example.com/team/app\": {error}."
        ))
    })
}

/// A URL that a web browser could open.
pub(super) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (is_web && !text.chars().any(char::is_control)).then_some(url)
}

fn must(index: usize, name: &str, what: &str) -> Error {
    let position = ["first", "second", "third"].get(index).unwrap_or(&"next");
    bad_request(format!(
        "You must pass {what} as the {position} argument ({name})."
    ))
}
