//! An application of a hundred components, in which two thousand calls a second go on: a clock, and nine rows of eleven
//! stands, each of which passes a question on to the next.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anylith::{CallError, Listener, Stopping};
use axum::{Router, routing::get};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// How many stands a question goes through.
const ROW: u64 = 11;

/// How often the clock asks a row: two thousand calls a second in all.
const ASK_EVERY: Duration = Duration::from_micros(500 * ROW);

/// So many questions may be on their way; where the machine cannot do more, fewer are asked.
const MOST_ASKED: usize = 500;

/// Why a question was not answered.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Call(#[from] CallError),
}

macro_rules! stands {
    ($($Stand:ident $Keeper:ident -> $Next:ident;)*) => {$(
        /// Passes a question on.
        #[anylith::component]
        trait $Stand {
            /// Returns how many were asked.
            #[idempotent]
            async fn ask(&self, asked: u32) -> Result<u32, AskError>;
        }

        #[derive(anylith::Component)]
        #[component(interface = $Stand)]
        struct $Keeper {
            next: $Next,
        }

        impl $Stand for $Keeper {
            async fn ask(&self, asked: u32) -> Result<u32, AskError> {
                self.next.ask(asked + 1).await
            }
        }
    )*};
}

macro_rules! last_stands {
    ($($Stand:ident $Keeper:ident;)*) => {$(
        /// Answers a question.
        #[anylith::component]
        trait $Stand {
            /// Returns how many were asked.
            #[idempotent]
            async fn ask(&self, asked: u32) -> Result<u32, AskError>;
        }

        #[derive(anylith::Component)]
        #[component(interface = $Stand)]
        struct $Keeper {}

        impl $Stand for $Keeper {
            async fn ask(&self, asked: u32) -> Result<u32, AskError> {
                Ok(asked + 1)
            }
        }
    )*};
}

stands! {
    OrderGate OrderGateStand -> OrderRulesClient;
    OrderRules OrderRulesStand -> OrderReportClient;
    OrderReport OrderReportStand -> OrderIndexClient;
    OrderIndex OrderIndexStand -> OrderQueueClient;
    OrderQueue OrderQueueStand -> OrderCacheClient;
    OrderCache OrderCacheStand -> OrderAuditClient;
    OrderAudit OrderAuditStand -> OrderArchiveClient;
    OrderArchive OrderArchiveStand -> OrderStoreClient;
    OrderStore OrderStoreStand -> OrderLedgerClient;
    OrderLedger OrderLedgerStand -> OrderVaultClient;
    StockGate StockGateStand -> StockRulesClient;
    StockRules StockRulesStand -> StockReportClient;
    StockReport StockReportStand -> StockIndexClient;
    StockIndex StockIndexStand -> StockQueueClient;
    StockQueue StockQueueStand -> StockCacheClient;
    StockCache StockCacheStand -> StockAuditClient;
    StockAudit StockAuditStand -> StockArchiveClient;
    StockArchive StockArchiveStand -> StockStoreClient;
    StockStore StockStoreStand -> StockLedgerClient;
    StockLedger StockLedgerStand -> StockVaultClient;
    PriceGate PriceGateStand -> PriceRulesClient;
    PriceRules PriceRulesStand -> PriceReportClient;
    PriceReport PriceReportStand -> PriceIndexClient;
    PriceIndex PriceIndexStand -> PriceQueueClient;
    PriceQueue PriceQueueStand -> PriceCacheClient;
    PriceCache PriceCacheStand -> PriceAuditClient;
    PriceAudit PriceAuditStand -> PriceArchiveClient;
    PriceArchive PriceArchiveStand -> PriceStoreClient;
    PriceStore PriceStoreStand -> PriceLedgerClient;
    PriceLedger PriceLedgerStand -> PriceVaultClient;
    CartGate CartGateStand -> CartRulesClient;
    CartRules CartRulesStand -> CartReportClient;
    CartReport CartReportStand -> CartIndexClient;
    CartIndex CartIndexStand -> CartQueueClient;
    CartQueue CartQueueStand -> CartCacheClient;
    CartCache CartCacheStand -> CartAuditClient;
    CartAudit CartAuditStand -> CartArchiveClient;
    CartArchive CartArchiveStand -> CartStoreClient;
    CartStore CartStoreStand -> CartLedgerClient;
    CartLedger CartLedgerStand -> CartVaultClient;
    MailGate MailGateStand -> MailRulesClient;
    MailRules MailRulesStand -> MailReportClient;
    MailReport MailReportStand -> MailIndexClient;
    MailIndex MailIndexStand -> MailQueueClient;
    MailQueue MailQueueStand -> MailCacheClient;
    MailCache MailCacheStand -> MailAuditClient;
    MailAudit MailAuditStand -> MailArchiveClient;
    MailArchive MailArchiveStand -> MailStoreClient;
    MailStore MailStoreStand -> MailLedgerClient;
    MailLedger MailLedgerStand -> MailVaultClient;
    SearchGate SearchGateStand -> SearchRulesClient;
    SearchRules SearchRulesStand -> SearchReportClient;
    SearchReport SearchReportStand -> SearchIndexClient;
    SearchIndex SearchIndexStand -> SearchQueueClient;
    SearchQueue SearchQueueStand -> SearchCacheClient;
    SearchCache SearchCacheStand -> SearchAuditClient;
    SearchAudit SearchAuditStand -> SearchArchiveClient;
    SearchArchive SearchArchiveStand -> SearchStoreClient;
    SearchStore SearchStoreStand -> SearchLedgerClient;
    SearchLedger SearchLedgerStand -> SearchVaultClient;
    ReviewGate ReviewGateStand -> ReviewRulesClient;
    ReviewRules ReviewRulesStand -> ReviewReportClient;
    ReviewReport ReviewReportStand -> ReviewIndexClient;
    ReviewIndex ReviewIndexStand -> ReviewQueueClient;
    ReviewQueue ReviewQueueStand -> ReviewCacheClient;
    ReviewCache ReviewCacheStand -> ReviewAuditClient;
    ReviewAudit ReviewAuditStand -> ReviewArchiveClient;
    ReviewArchive ReviewArchiveStand -> ReviewStoreClient;
    ReviewStore ReviewStoreStand -> ReviewLedgerClient;
    ReviewLedger ReviewLedgerStand -> ReviewVaultClient;
    RefundGate RefundGateStand -> RefundRulesClient;
    RefundRules RefundRulesStand -> RefundReportClient;
    RefundReport RefundReportStand -> RefundIndexClient;
    RefundIndex RefundIndexStand -> RefundQueueClient;
    RefundQueue RefundQueueStand -> RefundCacheClient;
    RefundCache RefundCacheStand -> RefundAuditClient;
    RefundAudit RefundAuditStand -> RefundArchiveClient;
    RefundArchive RefundArchiveStand -> RefundStoreClient;
    RefundStore RefundStoreStand -> RefundLedgerClient;
    RefundLedger RefundLedgerStand -> RefundVaultClient;
    InvoiceGate InvoiceGateStand -> InvoiceRulesClient;
    InvoiceRules InvoiceRulesStand -> InvoiceReportClient;
    InvoiceReport InvoiceReportStand -> InvoiceIndexClient;
    InvoiceIndex InvoiceIndexStand -> InvoiceQueueClient;
    InvoiceQueue InvoiceQueueStand -> InvoiceCacheClient;
    InvoiceCache InvoiceCacheStand -> InvoiceAuditClient;
    InvoiceAudit InvoiceAuditStand -> InvoiceArchiveClient;
    InvoiceArchive InvoiceArchiveStand -> InvoiceStoreClient;
    InvoiceStore InvoiceStoreStand -> InvoiceLedgerClient;
    InvoiceLedger InvoiceLedgerStand -> InvoiceVaultClient;
}

last_stands! {
    OrderVault OrderVaultStand;
    StockVault StockVaultStand;
    PriceVault PriceVaultStand;
    CartVault CartVaultStand;
    MailVault MailVaultStand;
    SearchVault SearchVaultStand;
    ReviewVault ReviewVaultStand;
    RefundVault RefundVaultStand;
    InvoiceVault InvoiceVaultStand;
}

/// Asks one row after the other, whatever they answer.
#[derive(anylith::Component)]
#[component(serve)]
struct Clock {
    order: OrderGateClient,
    stock: StockGateClient,
    price: PriceGateClient,
    cart: CartGateClient,
    mail: MailGateClient,
    search: SearchGateClient,
    review: ReviewGateClient,
    refund: RefundGateClient,
    invoice: InvoiceGateClient,
    #[listener]
    web: Listener,
}

impl Clock {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> std::io::Result<()> {
        let page = Router::new().route("/", get(async || "It ticks.\n"));
        tokio::select! {
            served = self.web.serve(page, stopping) => served,
            () = Arc::clone(&self).tick() => Ok(()),
        }
    }

    async fn tick(self: Arc<Self>) {
        let mut asked = JoinSet::new();
        let mut ticks = tokio::time::interval(ASK_EVERY);
        for row in (0..9).cycle() {
            ticks.tick().await;
            while asked.try_join_next().is_some() {}
            if asked.len() < MOST_ASKED {
                let own = Arc::clone(&self);
                asked.spawn(async move { own.ask(row).await });
            }
        }
    }

    async fn ask(&self, row: usize) -> Result<u32, AskError> {
        match row {
            0 => self.order.ask(0).await,
            1 => self.stock.ask(0).await,
            2 => self.price.ask(0).await,
            3 => self.cart.ask(0).await,
            4 => self.mail.ask(0).await,
            5 => self.search.ask(0).await,
            6 => self.review.ask(0).await,
            7 => self.refund.ask(0).await,
            _ => self.invoice.ask(0).await,
        }
    }
}

anylith::app! {
    /// A hundred components.
    Emporium = "emporium" {
        Clock, OrderGateStand, OrderRulesStand, OrderReportStand, OrderIndexStand, OrderQueueStand,
        OrderCacheStand, OrderAuditStand, OrderArchiveStand, OrderStoreStand, OrderLedgerStand,
        OrderVaultStand, StockGateStand, StockRulesStand, StockReportStand, StockIndexStand,
        StockQueueStand, StockCacheStand, StockAuditStand, StockArchiveStand, StockStoreStand,
        StockLedgerStand, StockVaultStand, PriceGateStand, PriceRulesStand, PriceReportStand,
        PriceIndexStand, PriceQueueStand, PriceCacheStand, PriceAuditStand, PriceArchiveStand,
        PriceStoreStand, PriceLedgerStand, PriceVaultStand, CartGateStand, CartRulesStand, CartReportStand,
        CartIndexStand, CartQueueStand, CartCacheStand, CartAuditStand, CartArchiveStand, CartStoreStand,
        CartLedgerStand, CartVaultStand, MailGateStand, MailRulesStand, MailReportStand, MailIndexStand,
        MailQueueStand, MailCacheStand, MailAuditStand, MailArchiveStand, MailStoreStand, MailLedgerStand,
        MailVaultStand, SearchGateStand, SearchRulesStand, SearchReportStand, SearchIndexStand,
        SearchQueueStand, SearchCacheStand, SearchAuditStand, SearchArchiveStand, SearchStoreStand,
        SearchLedgerStand, SearchVaultStand, ReviewGateStand, ReviewRulesStand, ReviewReportStand,
        ReviewIndexStand, ReviewQueueStand, ReviewCacheStand, ReviewAuditStand, ReviewArchiveStand,
        ReviewStoreStand, ReviewLedgerStand, ReviewVaultStand, RefundGateStand, RefundRulesStand,
        RefundReportStand, RefundIndexStand, RefundQueueStand, RefundCacheStand, RefundAuditStand,
        RefundArchiveStand, RefundStoreStand, RefundLedgerStand, RefundVaultStand, InvoiceGateStand,
        InvoiceRulesStand, InvoiceReportStand, InvoiceIndexStand, InvoiceQueueStand, InvoiceCacheStand,
        InvoiceAuditStand, InvoiceArchiveStand, InvoiceStoreStand, InvoiceLedgerStand, InvoiceVaultStand
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    Emporium::run().await
}
