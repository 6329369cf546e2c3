//! What a strategy proposed and what it was told: all the state of a search that learns.
//!
//! A row is told once and never again, so that a search replayed from its rows decides as it did the first time.

use search::space::Choices;
use search::strategy::Fidelity;
use search::trial::{Feedback, TrialId, TrialRecord};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{StoreError, text};

/// A record of one target's search.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordRow {
    pub target: String,
    pub record: TrialRecord,
}

/// Sorted by target and number.
pub async fn of_job(conn: &mut PgConnection, job: Uuid) -> Result<Vec<RecordRow>, StoreError> {
    let sql = "SELECT target, number, generation, fidelity, choices, measured_p95_us, accuracy, failure
               FROM search_records WHERE job = $1 ORDER BY target, number";
    let rows = sqlx::query(sql).bind(job).fetch_all(conn).await?;
    rows.iter().map(record).collect()
}

/// Candidates a strategy proposed, in order.
pub async fn ask(conn: &mut PgConnection, job: Uuid, rows: &[RecordRow]) -> Result<(), StoreError> {
    for RecordRow { target, record } in rows {
        let options: Vec<i16> = record.choices.0.iter().copied().map(i16::from).collect();
        sqlx::query(
            "INSERT INTO search_records (job, target, number, generation, fidelity, choices)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(job)
        .bind(target)
        .bind(int(record.id.0))
        .bind(int(record.generation))
        .bind(i16::from(record.fidelity.0))
        .bind(options)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// What became of a candidate; only the first word counts.
pub async fn tell(
    conn: &mut PgConnection,
    job: Uuid,
    target: &str,
    trial: TrialId,
    feedback: &[Feedback],
) -> Result<(), StoreError> {
    let (mut measured, mut accuracy, mut failure) = (None, None, None);
    for one in feedback {
        match one {
            Feedback::Measured { p95_us, .. } => measured = Some(*p95_us),
            Feedback::Evaluated { accuracy: share } => accuracy = Some(*share),
            Feedback::Failed { reason } => failure = Some(text(reason, 1000)),
            // A supernet's word; trials have none.
            Feedback::Gradients { .. } => {}
        }
    }
    sqlx::query(
        "UPDATE search_records SET measured_p95_us = $4, accuracy = $5, failure = $6, told_at = now()
         WHERE job = $1 AND target = $2 AND number = $3 AND told_at IS NULL",
    )
    .bind(job)
    .bind(target)
    .bind(int(trial.0))
    .bind(measured)
    .bind(accuracy)
    .bind(failure)
    .execute(conn)
    .await?;
    Ok(())
}

/// The search starts over.
pub async fn forget(conn: &mut PgConnection, job: Uuid) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM search_records WHERE job = $1")
        .bind(job)
        .execute(conn)
        .await?;
    Ok(())
}

fn record(row: &PgRow) -> Result<RecordRow, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt {
        table: "search_records",
        reason,
    };
    let count = |name: &str| -> Result<u32, StoreError> {
        let value: i32 = row.try_get(name)?;
        u32::try_from(value).map_err(|_| corrupt(format!("{name} {value}")))
    };
    let byte = |value: i16| u8::try_from(value).map_err(|_| corrupt(format!("option or fidelity {value}")));
    let options: Vec<i16> = row.try_get("choices")?;
    let measured: Option<f64> = row.try_get("measured_p95_us")?;
    let accuracy: Option<f64> = row.try_get("accuracy")?;
    let failure: Option<String> = row.try_get("failure")?;
    let measured = measured.map(|p95_us| Feedback::Measured { target: 0, p95_us });
    let end = accuracy
        .map(|accuracy| Feedback::Evaluated { accuracy })
        .or(failure.map(|reason| Feedback::Failed { reason }));
    Ok(RecordRow {
        target: row.try_get("target")?,
        record: TrialRecord {
            id: TrialId(count("number")?),
            choices: Choices(options.into_iter().map(byte).collect::<Result<_, _>>()?),
            feedback: measured.into_iter().chain(end).collect(),
            fidelity: Fidelity(byte(row.try_get("fidelity")?)?),
            generation: count("generation")?,
        },
    })
}

fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{studies, testing, trials};

    fn row(target: &str, number: u32) -> RecordRow {
        RecordRow {
            target: target.into(),
            record: TrialRecord {
                id: TrialId(number),
                choices: Choices(vec![0, number as u8, 255]),
                feedback: Vec::new(),
                fidelity: Fidelity(number as u8),
                generation: number / 2,
            },
        }
    }

    #[tokio::test]
    async fn a_search_is_read_as_it_was_written_and_told_once() {
        let db = testing::database().await;
        let mut conn = db.pool.acquire().await.unwrap();
        let job = Uuid::nil();
        trials::tests::study(&mut conn, job).await;
        let mut rows = vec![row("fast", 0), row("fast", 1), row("slow", 0), row("slow", 1)];
        ask(&mut conn, job, &rows).await.unwrap();
        ask(&mut conn, job, &rows[..1])
            .await
            .expect("asking again changes nothing");
        assert_eq!(of_job(&mut conn, job).await.unwrap(), rows);

        // The bits of an accuracy come back as they were.
        rows[1].record.feedback = vec![
            Feedback::Measured {
                target: 0,
                p95_us: 187.3,
            },
            Feedback::Evaluated { accuracy: 0.1 + 0.2 },
        ];
        rows[2].record.feedback = vec![Feedback::Failed {
            reason: "above the bound".into(),
        }];
        for told in [&rows[1], &rows[2]] {
            tell(
                &mut conn,
                job,
                &told.target,
                told.record.id,
                &told.record.feedback,
            )
            .await
            .unwrap();
        }
        let late = [Feedback::Evaluated { accuracy: 0.9 }];
        tell(&mut conn, job, "fast", TrialId(1), &late).await.unwrap();
        assert_eq!(of_job(&mut conn, job).await.unwrap(), rows);

        forget(&mut conn, job).await.unwrap();
        assert_eq!(of_job(&mut conn, job).await.unwrap(), []);
        ask(&mut conn, job, &rows).await.unwrap();
        studies::retain(&db.pool, &[], None).await.unwrap();
        assert_eq!(
            of_job(&mut conn, job).await.unwrap(),
            [],
            "they go with their search"
        );
    }
}
